import { hash } from 'node:crypto';
import { quoted } from '../database/schema.ts';

/** A statement with a name is prepared once on each connection; without one, it is planned each time. */
export interface Statement {
  name: string;
  text: string;
}

/**
 * What every text below is written in, so that it means the same whatever the search path of the session is:
 * - `{+}` is the operator + of PostgreSQL, and not one that another role created for the same types. All such operators
 *   have the same precedence, so expressions are parenthesized.
 * - `::text` and the other types are those of PostgreSQL. Functions are written with their schema.
 */
const qualified = (text: string): string =>
  text
    .replaceAll(/\{([^\s{}\w]+)\}/g, 'operator(pg_catalog.$1)')
    .replaceAll(/::(text|timestamptz|bytea|jsonb|uuid|tid|float8)\b/g, '::pg_catalog.$1')
    .trim();

/** Adds a digest to the name: behind a pooler, a server connection that two versions share never has one name for two texts. */
function prepared(name: string, text: string): Statement {
  const full = qualified(text);
  return { name: `${name}-${hash('sha256', full, 'base64url').slice(0, 12)}`, text: full };
}

const planned = (text: string): Statement => ({ name: '', text: qualified(text) });

/** Stands for "no bound" in an array of bounds: no bound of a counter is so low. */
export const NONE = '-9223372036854775807';

/** A timestamp in milliseconds since 1970. */
const ms = (timestamp: string): string => `(extract(epoch from ${timestamp}) {*} 1000.0)::bigint`;

/** Whether the counter `c` has not expired. One that has counts as missing; its row is removed later. */
const ALIVE = '(c.exists_until {<=} pg_catalog.now()) is not true';

/** Whether the row `c` is that of a counter, and not of a window. */
const IS_COUNTER = `c.period {=} '' and c.starts_at {=} '-infinity'`;

/** The row `c` that the columns of `d` identify. */
const IS_ROW = '(c.period {=} d.period and c.name {=} d.name) and c.starts_at {=} d.starts_at';

/** The columns of a state, as `StateRow`. */
const STATE = `c.value::text as value, c.min::text as min, c.max::text as max, ${ms('c.exists_until')}::text as expires`;

/**
 * The expiry of a row that is created now and kept for so many milliseconds; 0: it does not expire. By the clock of the
 * database alone: by that of a service, which may be behind, a window could expire while it is in use.
 */
const expiry = (keptMs: string, now: string): string =>
  `case when ${keptMs} {>} 0::float8 then
     pg_catalog.date_trunc('milliseconds', ${now}) {+} pg_catalog.make_interval(secs => ${keptMs} {/} 1000::float8) end`;

/** Sets limits for this transaction only. They are set before the first lock is taken. */
const limited = (name: string, value: string) =>
  `(select pg_catalog.set_config('${name}', ${value}, true)) is not null`;

/** Limits the wait for each lock. */
const withPatience = (parameter: string) => limited('lock_timeout', `${parameter}::text`);

/**
 * A value that fails with 22P02 and a text which says, in every language, which rule a statement broke: see `refusalOf`. It is
 * evaluated when it is needed, not when the statement is planned, since it contains the time.
 */
const failure = (message: string): string =>
  `('safe_counters: ${message} ' {||} pg_catalog.now()::text)::bigint::text`;

/**
 * Takes the number $2 of the writer $1, last: if its row has this number or a later one, `seq` becomes null, which violates
 * its constraint, and the whole statement fails. So each number is applied once or never. Returns the values as a text.
 */
const fence = (table: string, values: string, from = '') => `
  fence as (
    update ${table} as f
    set seq = case when f.seq {<} $2::bigint then $2::bigint end, "values" = ${values}, written_at = pg_catalog.now()
    ${from}
    where f.id {=} $1::uuid
    returning pg_catalog.array_to_string(f."values", ',') as "values"
  )`;

/** What the writer's row stores; fails if there is no such row. */
const STORED = `coalesce((select f."values" from fence as f), ${failure('no writer')})`;

export type Statements = ReturnType<typeof statementsIn>;

/**
 * The statements of the counters, for the tables in a schema. Arrays of numbers are sent as text, and results come as text,
 * so that no setting of a session and no parser of a driver changes them.
 */
export function statementsIn(schema: string) {
  const s = quoted(schema);
  const counters = `${s}.counters`;
  const keys = `${s}.idempotency_keys`;
  const writers = `${s}.writers`;

  /** Adds to the rows of `d`. An expired row becomes null, which its constraint refuses: it has to start from 0. */
  const addTo = (d: string, condition = 'true') => `
    insert into ${counters} as c (period, name, starts_at, value, exists_until)
    select d.period, d.name, d.starts_at, d.total, ${expiry('d.kept_ms', 'pg_catalog.now()')}
    from ${d}
    where ${withPatience('$3')} and ${condition}
    on conflict (period, name, starts_at) do update
    set value = case when ${ALIVE} then c.value {+} excluded.value end`;

  /** $4 to $8: the rows in the order of their locks, what is added to each, and how long it is kept if it is created. */
  const DELTAS = `unnest($4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::float8[])
      as d (period, name, starts_at, total, kept_ms)`;

  /**
   * The values in the order of the rows: PostgreSQL inserts, and returns, rows in the order in which they are selected.
   * `values` becomes null, which its constraint refuses, if fewer rows were written than given (a trigger), or if a partial
   * sum leaves the bounds: $9 to $12 have the rows whose partial sums leave the span from 0 to the total, which need that
   * check (position, total, lowest and highest sum); null: none. The final value is checked by the table's own constraints.
   */
  const SUMMARY = `
  numbered as (select w.*, pg_catalog.row_number() over () as i from written as w),
  summary as (
    select pg_catalog.array_agg(w.value) as "values",
           (pg_catalog.count(*) {=} pg_catalog.cardinality($4::text[])::bigint)
           and case when $9::bigint[] is null then true else not exists (
             select from unnest($9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[]) as o (i, total, low, high)
             join numbered as n on n.i {=} o.i
             where ((n.value {-} o.total) {+} o.low) {<} coalesce(n.min, -9007199254740991)
                or ((n.value {-} o.total) {+} o.high) {>} coalesce(n.max, 9007199254740991)
           ) end as fits
    from written as w
  )`;

  return {
    /** Writes one row: the common case. $4 to $10: its period, name, start, total, how long it is kept, low and high. */
    writeOne: prepared(
      'write-one',
      `
  with written as (
    ${addTo(`(select $4::text as period, $5::text as name, $6::timestamptz as starts_at, $7::bigint as total,
                     $8::float8 as kept_ms) as d`)}
    returning c.value, c.min, c.max
  ),
  ${fence(
    writers,
    `(
      select array[w.value] from written as w
      where ((w.value {-} $7::bigint) {+} $9::bigint) {>=} coalesce(w.min, -9007199254740991)
        and ((w.value {-} $7::bigint) {+} $10::bigint) {<=} coalesce(w.max, 9007199254740991)
    )`,
  )}
  select ${STORED} as "values"`,
    ),

    /** Writes several rows. */
    write: prepared(
      'write',
      `
  with written as (${addTo(DELTAS)} returning c.value, c.min, c.max),
  ${SUMMARY},
  ${fence(writers, 'case when s.fits then s."values" end', 'from summary as s')}
  select ${STORED} as "values"`,
    ),

    /**
     * The same with idempotency keys. $13 to $16: for each increment with a key, the key, its request, the position of its
     * row, and the value after the increment relative to that after the batch; $17: how many hours keys are kept. If a key is
     * known, nothing is counted, and the known keys are returned. The writer's row takes the number nevertheless, so that
     * this answer, too, waits for synchronous standbys: a failover must not undo what it reports.
     */
    writeKeyed: prepared(
      'write-keyed',
      `
  with known as materialized (
    select k.key, k.request, k.answer from ${keys} as k where k.key {=} any ($13::bytea[])
  ),
  written as (${addTo(DELTAS, 'not exists (select from known)')} returning c.value, c.min, c.max),
  ${SUMMARY},
  kept as (
    insert into ${keys} (key, request, answer, expires_at)
    select k.key, k.request, pg_catalog.jsonb_build_object('value', (s."values")[k.at] {+} k.behind),
           pg_catalog.now() {+} pg_catalog.make_interval(hours => $17::integer)
    from summary as s
    cross join unnest($13::bytea[], $14::bytea[], $15::integer[], $16::bigint[]) as k (key, request, at, behind)
    where s."values" is not null
    returning 1
  ),
  ${fence(
    writers,
    `case when exists (select from known) then '{}'
          when s.fits and (select pg_catalog.count(*) from kept) {=} pg_catalog.cardinality($13::bytea[])::bigint
          then s."values" end`,
    'from summary as s',
  )}
  select ${STORED} as "values",
         (select pg_catalog.json_agg(pg_catalog.json_build_array(
            pg_catalog.encode(k.key, 'hex'), pg_catalog.encode(k.request, 'hex'), k.answer))::text from known as k) as known`,
    ),

    /**
     * Locks rows in their order, $1 to $4 (period, name, start, how long each is kept if it is created), and creates those
     * that are missing with the value 0; a rollback removes them. `where false` changes no row, but the lock is taken
     * (documentation of INSERT). $5: how long to wait for each lock. It does nothing without the setting of `BEGIN`: sent in one
     * trip with it, it also runs if `BEGIN` was canceled, and would be committed. Returns which rows were created.
     */
    lock: prepared(
      'lock',
      `
  with created as (
    insert into ${counters} as c (period, name, starts_at, value, exists_until)
    select d.period, d.name, d.starts_at, 0, ${expiry('d.kept_ms', 'pg_catalog.statement_timestamp()')}
    from unnest($1::text[], $2::text[], $3::timestamptz[], $4::float8[]) as d (period, name, starts_at, kept_ms)
    where ${withPatience('$5')} and pg_catalog.current_setting('safe_counters.deciding', true) {=} 'on'
    on conflict (period, name, starts_at) do update set value = c.value where false
    returning c.period, c.name, c.starts_at
  )
  select pg_catalog.json_agg(pg_catalog.json_build_array(c.period, c.name, ${ms('c.starts_at')}))::text as created
  from (select period, name, case when period {=} '' then null else starts_at end as starts_at from created) as c`,
    ),

    /**
     * Reads rows, $1 to $3, and keys, $4, as they are under the locks: a statement of its own, since its snapshot has to be
     * later than the locks. `lateral … limit 1` makes it look up each row in the index, whatever the planner supposes.
     */
    read: prepared(
      'read',
      `
  select ${ms('pg_catalog.statement_timestamp()')}::text as now,
    (select pg_catalog.json_agg(pg_catalog.json_build_array(
       d.i, c.value, c.min, c.max, ${ms('c.exists_until')},
       (c.exists_until {<=} pg_catalog.statement_timestamp()) is not true, c.ctid::text))::text
     from unnest($1::text[], $2::text[], $3::timestamptz[]) with ordinality as d (period, name, starts_at, i)
     cross join lateral (
       select c.value, c.min, c.max, c.exists_until, c.ctid from ${counters} as c where ${IS_ROW} limit 1
     ) as c) as "rows",
    (select pg_catalog.json_agg(pg_catalog.json_build_array(
       pg_catalog.encode(k.key, 'hex'), pg_catalog.encode(k.request, 'hex'), k.answer))::text
     from ${keys} as k where k.key {=} any ($4::bytea[])) as known`,
    ),

    /**
     * Writes what was decided under the locks. $3 to $9: the new states of rows (period, name, start, value, lowest, highest,
     * expiry; a bound of `NONE` and an infinite expiry stand for none, since null in an array is text in a
     * session with `array_nulls = off`); $10: the rows to remove; $11 to $13: keys with their requests and answers; $14: how
     * many hours keys are kept. Fails if fewer rows were written than given.
     */
    apply: prepared(
      'apply',
      `
  with written as (
    insert into ${counters} as c (period, name, starts_at, value, min, max, exists_until)
    select d.period, d.name, d.starts_at, d.value,
           case when d.min {<>} ${NONE} then d.min end,
           case when d.max {<>} ${NONE} then d.max end,
           case when pg_catalog.isfinite(d.exists_until) then d.exists_until end
    from unnest($3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[])
      as d (period, name, starts_at, value, min, max, exists_until)
    on conflict (period, name, starts_at) do update
    set value = excluded.value, min = excluded.min, max = excluded.max, exists_until = excluded.exists_until
    returning 1
  ),
  removed as (delete from ${counters} as c where c.ctid {=} any ($10::tid[]) returning 1),
  kept as (
    insert into ${keys} (key, request, answer, expires_at)
    select k.key, k.request, k.answer, pg_catalog.now() {+} pg_catalog.make_interval(hours => $14::integer)
    from unnest($11::bytea[], $12::bytea[], $13::jsonb[]) as k (key, request, answer)
    returning 1
  ),
  ${fence(writers, `'{0}'`)},
  done as (
    select (select pg_catalog.count(*) from written) {+} (
             (select pg_catalog.count(*) from removed) {+} (select pg_catalog.count(*) from kept)) as "rows",
           (pg_catalog.cardinality($3::text[]) {+} (
             pg_catalog.cardinality($10::tid[]) {+} pg_catalog.cardinality($11::bytea[])))::bigint as given
  )
  select ${STORED} as "values", case when d."rows" {<>} d.given then ${failure('rows written')} end as incomplete
  from done as d`,
    ),

    /**
     * Closes the number $2 of the writer $1 and returns what was written under it; empty: nothing was, or ever will be. It
     * waits for an attempt in progress. It always writes, so that its answer waits for synchronous standbys.
     */
    close: prepared(
      'close',
      `
  update ${writers} as f
  set "values" = case when f.seq {<} $2::bigint then '{}' else f."values" end,
      seq = greatest(f.seq, $2::bigint), written_at = pg_catalog.now()
  where f.id {=} $1::uuid and ${withPatience('$3')}
  returning pg_catalog.array_to_string(f."values", ',') as "values"`,
    ),

    register: prepared('register', `insert into ${writers} (id, seq) values ($1::uuid, 0)`),

    /** The counters that exist of those named $1. */
    states: prepared(
      'states',
      `select c.name, ${STATE} from ${counters} as c
       where (${IS_COUNTER} and c.name {=} any ($1::text[])) and ${ALIVE}`,
    ),

    /** The windows of the counter $2 with the length $1 from $3 to $4. */
    windows: prepared(
      'windows',
      `select ${ms('c.starts_at')}::text as start, c.value::text as value from ${counters} as c
       where (c.period {=} $1::text and c.name {=} $2::text)
         and ((c.starts_at {>=} $3::timestamptz and c.starts_at {<=} $4::timestamptz) and ${ALIVE})`,
    ),

    /**
     * The counters whose names begin with $2, after the name $1, $4 at most. $3 is the last name of those: a range of the index,
     * in a plan that suits every prefix.
     */
    list: prepared(
      'list',
      `select c.name, ${STATE} from ${counters} as c
       where (${IS_COUNTER} and c.name {>} $1::text) and (c.name {>=} $2::text and c.name {<=} $3::text)
         and (pg_catalog.starts_with(c.name, $2::text) and ${ALIVE})
       order by c.period, c.name limit $4::bigint`,
    ),

    /**
     * Of the rows, $1 to $3, those that exist, by their numbers from 1, each with the transaction that has locked it at the
     * moment; null: none. The lock that this takes on a free row ends with the statement, whose commit waits for no disk and no
     * standby: nothing was changed.
     */
    look: planned(
      `select d.i::text as i, case when l.free is null then c.holder end as holder
       from unnest($1::text[], $2::text[], $3::timestamptz[]) with ordinality as d (period, name, starts_at, i)
       cross join lateral (select c.xmax::text as holder from ${counters} as c where ${IS_ROW} limit 1) as c
       left join lateral (
         select 1 as free from ${counters} as c where ${IS_ROW} limit 1 for no key update skip locked) as l on true
       where ${limited('synchronous_commit', "'off'")}`,
    ),

    /**
     * Inserts a row, or a key, unless it exists; it waits for another transaction that has inserted it. For a transaction
     * that is rolled back.
     */
    probeRow: prepared(
      'probe-row',
      `insert into ${counters} (period, name, starts_at, value) values ($1::text, $2::text, $3::timestamptz, 0)
       on conflict do nothing`,
    ),
    probeKey: prepared(
      'probe-key',
      `insert into ${keys} (key, request, answer, expires_at) values ($1::bytea, '', '{}', pg_catalog.now())
       on conflict do nothing`,
    ),

    removeKeys: removal('remove-keys', keys, 'k.ctid', 'k.expires_at'),
    removeCounters: removal('remove-counters', counters, 'k.ctid', 'k.exists_until'),

    /** Removes writers without a batch for seven days: most have ended. One that is merely idle registers again. */
    removeWriters: prepared(
      'remove-writers',
      `delete from ${writers} as f where f.written_at {<} (pg_catalog.now() {-} interval '7 days')`,
    ),

    /**
     * The version of the tables. The columns are named so that it fails if the tables are others; without an alias, since
     * `c.max` would mean `max(c)` if there was no such column.
     */
    version: planned(
      `select pg_catalog.max(m.version)::text as version from ${s}.migrations as m
       where not exists (select period, name, starts_at, value, min, max, exists_until from ${counters} where false)
         and not exists (select key, request, answer, expires_at from ${keys} where false)
         and not exists (select id, seq, "values", written_at from ${writers} where false)`,
    ),
  };
}

/**
 * Begins a transaction that the server ends after a second if its service has stopped. The last setting says so to `lock`,
 * which is sent at the same time.
 */
export const BEGIN: Statement = {
  name: '',
  text: 'begin isolation level read committed; set local idle_in_transaction_session_timeout = 1000; set local safe_counters.deciding = on',
};

export const COMMIT: Statement = { name: '', text: 'commit' };

/** Begins a transaction that waits for each lock for the shortest time there is. */
export const BEGIN_PROBING: Statement = {
  name: '',
  text: 'begin isolation level read committed; set local lock_timeout = 1; set local idle_in_transaction_session_timeout = 1000',
};

export const SAVE: Statement = { name: '', text: 'savepoint probe' };

export const ROLL_BACK: Statement = { name: '', text: 'rollback to savepoint probe' };

/**
 * Removes up to $2 rows that expired at $1 or later. A portion begins where the previous one ended, which avoids scanning
 * the index entries of removed rows: they remain for as long as an old snapshot may need them. `last` is in UTC, in ISO 8601:
 * another session may read it, and abbreviations of time zones are ambiguous.
 */
const removal = (name: string, table: string, place: string, expires: string): Statement =>
  prepared(
    name,
    `
  with removed as (
    delete from ${table} as k where ${place} {=} any (array(
      select ${place} from ${table} as k
      where ${expires} {>=} $1::timestamptz and ${expires} {<} pg_catalog.now()
      order by ${expires} limit $2::bigint for update skip locked))
    returning ${expires} as expired_at
  )
  select pg_catalog.count(*)::text as count,
         pg_catalog.to_char(pg_catalog.max(expired_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last
  from removed`,
  );
