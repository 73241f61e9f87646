/*
 * The tables of the counters, in steps. Each step is what one version adds to the versions before it, and is not changed
 * once it is released. `migrations/` applies the steps to the database of the service, `migrate` to the schema of another
 * application.
 */

/** Counters and idempotency keys. */
export const COUNTERS: readonly string[] = [
  // Free space on each page, so that a new version of a row stays on its page and no index is updated (HOT).
  // The range is that of the integers which JSON transfers without losing a digit.
  `create table counters (
     name text collate "C" primary key,
     value bigint not null check (value between -9007199254740991 and 9007199254740991)
   ) with (fillfactor = 70)`,
  `create table idempotency_keys (
     key text collate "C" primary key,
     request text collate "C" not null,
     "values" bigint[] not null,
     expires_at timestamptz not null
   )`,
  'create index on idempotency_keys (expires_at)',
];

/**
 * One row for each lane, which writes one batch at a time. The row stores the number of the last batch and its values, so
 * that a lost answer can be settled. It is updated with every batch: free space keeps its new version on the same page
 * (HOT).
 */
export const COUNTER_WRITERS: readonly string[] = [
  `create table counter_writers (
     id uuid primary key,
     seq bigint not null,
     "values" bigint[] not null default '{}',
     written_at timestamptz not null default now()
   ) with (fillfactor = 20)`,
];

/**
 * Null: no bound. The bounds are a constraint, so that they hold for every write, whatever program makes it. Existing rows
 * have no bounds, so they need not be checked while the table is locked.
 */
export const COUNTER_BOUNDS: readonly string[] = [
  'alter table counters add column min bigint, add column max bigint',
  `alter table counters add constraint counters_bounds check (
     value between min and max and min >= -9007199254740991 and max <= 9007199254740991
   ) not valid`,
];

/**
 * Null: never. Updates remain HOT, since an increment does not change the indexed column. The index covers only the rows
 * that expire.
 */
export const COUNTER_EXPIRY: readonly string[] = [
  'alter table counters add column expires_at timestamptz',
  'alter table counters add constraint counters_expiry check (isfinite(expires_at)) not valid',
  'create index on counters (expires_at) where expires_at is not null',
];

export const steps: readonly (readonly string[])[] = [
  COUNTERS,
  COUNTER_WRITERS,
  COUNTER_BOUNDS,
  COUNTER_EXPIRY,
];
