/*
 * The tables of the counters, in steps: each is what one version adds to those before it, and none is changed once it was
 * released. `migrations/` takes them into the service's database, `migrate` into the schema of another application.
 */

/** Counters and idempotency keys. */
export const COUNTERS: readonly string[] = [
  // Room on each page, so that a new version of a row stays beside the old one and no index has to know (HOT).
  // The range is what JSON carries without losing a digit.
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
 * One row for each batch that is written at a time. It says which batch was applied last and what the values were, so
 * that a lost answer can be found out. Updated with every batch: room on each page keeps the new version beside the old
 * one (HOT).
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
 * Null: none. A constraint, so that the bounds hold whatever writes. Existing rows have none, so that they need not be
 * checked while the table is locked.
 */
export const COUNTER_BOUNDS: readonly string[] = [
  'alter table counters add column min bigint, add column max bigint',
  `alter table counters add constraint counters_bounds check (
     value between min and max and min >= -9007199254740991 and max <= 9007199254740991
   ) not valid`,
];

/**
 * Null: never. HOT goes on: an increment does not change the indexed column. The index has the rows that expire and no
 * others.
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
