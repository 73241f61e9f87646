import { quoted } from '../database/schema.ts';

/** The version of the tables below. Each later version adds a step, and keeps what the version before it needs. */
export const TABLES_VERSION = 1;

/** The range of values is that of the integers which JSON transfers without losing a digit. */
const RANGE = 'between -9007199254740991 and 9007199254740991';

/** The statements that create the tables in a schema that exists. */
export function tablesIn(schema: string): readonly string[] {
  const s = quoted(schema);
  return [
    // A counter has no period; a window of time has its length as the period. The period comes first, so that the counters
    // are next to each other in the index, in the order of their names.
    // Free space on each page, so that a new version of a row stays on its page and no index is updated (HOT).
    `create table ${s}.counters (
       period text collate "C" not null default '',
       name text collate "C" not null,
       starts_at timestamptz not null default '-infinity',
       value bigint not null,
       min bigint,
       max bigint,
       exists_until timestamptz,
       primary key (period, name, starts_at),
       constraint counters_range check (value ${RANGE} and min ${RANGE} and max ${RANGE}),
       constraint counters_bounds check (value between min and max),
       constraint counters_expiry check (isfinite(exists_until))
     ) with (fillfactor = 70)`,
    // Only the rows that expire; an increment does not change the column, so its updates remain HOT.
    `create index on ${s}.counters (exists_until) where exists_until is not null`,
    // The key is a digest of the caller and its key; the request, a digest that detects the reuse of a key. The index on the
    // expiry is a B-tree: the ranges of a BRIN only widen, so that after a day each removal would scan the whole table.
    `create table ${s}.idempotency_keys (
       key bytea primary key,
       request bytea not null,
       answer jsonb not null,
       expires_at timestamptz not null
     )`,
    `create index on ${s}.idempotency_keys (expires_at)`,
    // One row for each lane, which writes one batch at a time: the number of its last batch, and the values that this batch
    // wrote, so that a lost answer can be settled. Free space keeps the new version on the same page (HOT).
    `create table ${s}.writers (
       id uuid primary key,
       seq bigint not null,
       "values" bigint[] not null default '{}',
       written_at timestamptz not null default now()
     ) with (fillfactor = 20)`,
    `create table ${s}.migrations (
       version integer primary key,
       applied_at timestamptz not null default now()
     )`,
    // For people who read with SQL: neither windows nor what has expired.
    `create view ${s}.current as
       select name, value, min, max, exists_until as expires_at from ${s}.counters
       where period = '' and (exists_until > now()) is not false`,
    `insert into ${s}.migrations (version) values (${TABLES_VERSION})`,
  ];
}
