import { hash } from 'node:crypto';
import { windowMsIn } from './windows.ts';

export interface Statement {
  /** The name under which each connection prepares it once; empty: it is planned each time, for its values. */
  name: string;
  text: string;
  /** How many rows it may create, if it is not one of those that write batches. */
  creates?: number;
}

/**
 * Adds a digest of the text to the name: behind a pooler that shares a server connection between several versions of the
 * service, one name never stands for two texts.
 */
export const prepared = (name: string, text: string, creates = 0): Statement => ({
  creates,
  name: `${name}-${hash('sha256', text, 'base64url').slice(0, 12)}`,
  text,
});

const TABLES =
  /(?<=\b(?:from|into|update|join|analyze \(skip_locked\)) )(?:counters|counter_writers|idempotency_keys)\b/g;

/** Returns the statement for the tables of a schema, whatever the search_path of the session is. */
export function inSchema({ name, text }: Statement, schema: string): Statement {
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const qualified = text.replace(TABLES, (table) => `${quoted}.${table}`);
  return name === '' ? { name, text: qualified } : prepared(name, qualified);
}

/**
 * The CTE that bounds the wait of a statement for each lock: by the session's `lock_timeout`, or by 5 seconds if it has
 * none, as in the pool of an application. Without a bound, a statement could be abandoned by its caller and still be
 * applied. Statements refer to the CTE before they take their first lock.
 */
export const PATIENCE = `patience as materialized (
    select set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), '5s'), true) as ms
  )`;

/** The expiry of the counter `c`, in milliseconds since 1970. */
export const EXPIRES = '(extract(epoch from c.expires_at) * 1000)::bigint';

/** The state of the counter `c`, in the form of `CounterRow`. */
export const STATE = `c.value::text, c.min::text, c.max::text, ${EXPIRES}::text as expires`;

/** Whether the counter `c` has not expired. An expired counter counts as missing; its row is removed later. */
export const ALIVE = '(c.expires_at <= now()) is not true';

/**
 * The expiry of a bucket that is created: at least the length of its window and ten minutes from now. If the clock of the
 * service is behind, a bucket could otherwise expire while it is in use, and count from 0 again.
 *
 * @param name SQL: a parameter or a column
 * @param expiry SQL, too; null or infinite: the row is that of a counter, and does not expire
 */
export const expiryOfNewRow = (name: string, expiry: string): string => `
    case when isfinite(${expiry})
      then greatest(${expiry}, now() + ${windowMsIn(name)} * interval '1 ms' + interval '10 minutes') end`;

/** The columns of `delta` that `allowed` needs, in the statements for several counters. */
const COLUMNS = { total: 'd.total', low: 'd.low', high: 'd.high', least: 'd.least', most: 'd.most' };

/** @param d parameters, or columns, with the parts of the delta. `w` is the row of the counter after the addition. */
const allowed = (d: Record<'total' | 'low' | 'high' | 'least' | 'most', string>) => `
  w.value - ${d.total} + ${d.low} >= coalesce(w.min, -9007199254740991)
  and w.value - ${d.total} + ${d.high} <= coalesce(w.max, 9007199254740991)
  and (w.value - ${d.total} < ${d.least}) is not true
  and (w.value - ${d.total} > ${d.most}) is not true
  and (w.expires_at <= now()) is not true`;

/*
 * The three statements that write a batch as a whole have their first parameters and their last part in common:
 * - $1, $2: the writer and the number of the batch. The writer's row takes the number last. If the row has this number
 *   or a later one already, `seq` becomes null, which violates its constraint, and the whole statement fails. If the row
 *   is missing, the division fails, and with it the whole statement. So each number is applied once or never.
 * - $3: how long to wait for each lock. `set_config` with `is_local` lasts as long as the statement, so no session state
 *   is left.
 * If a partial sum leaves the range, or the bounds of the counter or of an increment, `values` becomes null, which
 * violates its constraint; if the final value does, it violates a constraint of the table. `values` also becomes null if
 * the counter has expired. Then the batch is written again with WRITE_SELECTIVE, which counts an expired counter from 0.
 * Every replica writes counters in the order of their names, so that batches do not deadlock.
 */

/**
 * Writes one counter: the common case of a single caller or a single hot counter. $4 to $10: name, total, low, high, least,
 * most, and the expiry of the row if it is created.
 */
export const WRITE_ONE = prepared(
  'write-one',
  `
  with patience as materialized (select set_config('lock_timeout', $3, true) as ms),
  written as (
    insert into counters as c (name, value, expires_at)
    select $4::text, $5::bigint, ${expiryOfNewRow('$4::text', '$10::timestamptz')}
    where (select ms from patience) is not null
    on conflict (name) do update set value = c.value + excluded.value
    returning c.value, c.min, c.max, c.expires_at
  ),
  fence as (
    update counter_writers as f
    set seq = case when f.seq < $2 then $2 end,
        "values" = case when ${allowed({
          total: '$5',
          low: '$6::bigint',
          high: '$7::bigint',
          least: '$8::bigint',
          most: '$9::bigint',
        })} then array[w.value] end,
        written_at = now()
    from written as w
    where f.id = $1
    returning f.id
  )
  select value::text as "values", 1 / (select count(*) from fence) as fenced from written`,
);

/** Writes several counters. $4 to $10: arrays of the same; null: none of the counters has such a value. */
export const WRITE = prepared(
  'write',
  `
  with patience as materialized (select set_config('lock_timeout', $3, true) as ms),
  delta as (
    select * from unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                         $10::timestamptz[])
      with ordinality as d (name, total, low, high, least, most, expires_at, i)
  ),
  written as (
    insert into counters as c (name, value, expires_at)
    select name, total, ${expiryOfNewRow('name', 'expires_at')} from delta
    where (select ms from patience) is not null order by name
    on conflict (name) do update set value = c.value + excluded.value
    returning c.name, c.value, c.min, c.max, c.expires_at
  ),
  summary as (
    select array_agg(w.value order by d.i) as "values",
           bool_and(${allowed(COLUMNS)}) as in_range
    from written as w join delta as d using (name)
  ),
  fence as (
    update counter_writers as f
    set seq = case when f.seq < $2 then $2 end,
        "values" = case when s.in_range then s."values" end,
        written_at = now()
    from summary as s
    where f.id = $1
    returning f.id
  )
  select array_to_string("values", ',') as "values", 1 / (select count(*) from fence) as fenced from summary`,
);

/**
 * Writes any counters, with idempotency keys. $11 to $14: for each increment with a key, the key, the fingerprint of its
 * request, the counter, and the value after the increment relative to that after the batch; $15: how many hours to keep a
 * key. If a key is known, nothing is counted, and the known requests are returned. The writer's row takes the number
 * nevertheless, so that this answer, too, waits for synchronous standbys: a failover must not undo what it reports.
 */
export const WRITE_KEYED = prepared(
  'write-keyed',
  `
  with patience as materialized (select set_config('lock_timeout', $3, true) as ms),
  known as (
    select key, request, "values" from idempotency_keys where key = any($11::text[])
  ),
  delta as (
    select * from unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                         $10::timestamptz[])
      with ordinality as d (name, total, low, high, least, most, expires_at, i)
  ),
  written as (
    insert into counters as c (name, value, expires_at)
    select name, total, ${expiryOfNewRow('name', 'expires_at')} from delta
    where (select ms from patience) is not null and not exists (select from known) order by name
    on conflict (name) do update set value = c.value + excluded.value
    returning c.name, c.value, c.min, c.max, c.expires_at
  ),
  keyed as (
    insert into idempotency_keys (key, request, "values", expires_at)
    select key, request, array_agg(value + behind order by i), now() + $15 * interval '1 hour'
    from unnest($11::text[], $12::text[], $13::text[], $14::bigint[]) with ordinality as k (key, request, name, behind, i)
    join written using (name)
    group by key, request
    order by key
  ),
  summary as (
    select coalesce(array_agg(w.value order by d.i), '{}') as "values",
           coalesce(bool_and(${allowed(COLUMNS)}), true) as in_range
    from written as w join delta as d using (name)
  ),
  fence as (
    update counter_writers as f
    set seq = case when f.seq < $2 then $2 end,
        "values" = case when s.in_range then s."values" end,
        written_at = now()
    from summary as s
    where f.id = $1
    returning f.id
  )
  select array_to_string("values", ',') as "values", (select json_agg(known)::text from known) as known,
         1 / (select count(*) from fence) as fenced
  from summary`,
);

/**
 * Closes the number $2 of the writer $1 and returns what was written under it; empty: nothing was, or ever will be. It
 * waits for an attempt in progress. It always writes, so that its answer waits for synchronous standbys.
 */
export const CLOSE = prepared(
  'close',
  `
  with ${PATIENCE}
  update counter_writers
  set "values" = case when seq < $2 then '{}' else "values" end, seq = greatest(seq, $2), written_at = now()
  where id = $1 and (select ms from patience) is not null
  returning array_to_string("values", ',') as "values"`,
);

export const REGISTER = prepared('register', 'insert into counter_writers (id, seq) values ($1, 0)');

export const STATES = prepared(
  'states',
  `select c.name, ${STATE} from counters as c where c.name = any($1::text[]) and ${ALIVE}`,
);

/**
 * Returns those of the keys that have been used. It locks them so that a read-only server, which may lag behind, refuses
 * the statement.
 */
export const KNOWN_KEYS = prepared(
  'known-keys',
  'select key from idempotency_keys where key = any($1::text[]) for key share',
);

/** Returns those of the counters that exist and that no other transaction has locked at the moment. */
export const UNLOCKED = prepared(
  'unlocked',
  'select name from counters where name = any($1::text[]) for no key update skip locked',
);

/**
 * Removes up to $2 rows that expired at $1 or later. A portion begins where the previous one ended, which avoids scanning
 * the index entries of removed rows: they remain for as long as an old snapshot may need them. `last` is in UTC, in ISO 8601:
 * another session may read it, and abbreviations of time zones are ambiguous.
 */
const removal = (table: string, primaryKey: string) =>
  prepared(
    `remove-${table}`,
    `
  with removed as (
    delete from ${table} where ${primaryKey} in (
      select ${primaryKey} from ${table}
      where expires_at >= $1 and expires_at < now() order by expires_at limit $2 for update skip locked)
    returning expires_at
  )
  select count(*)::text as count, to_char(max(expires_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last
  from removed`,
  );

export const REMOVE_KEYS = removal('idempotency_keys', 'key');
export const REMOVE_COUNTERS = removal('counters', 'name');

/** How many rows the planner supposes that a table has; -1: it does not know; no row: the table is empty. */
const supposed = (table: string) =>
  prepared(
    `supposed-${table}`,
    `select reltuples::text as rows from pg_class where oid = (select tableoid from ${table} limit 1)`,
  );

export const SUPPOSED_COUNTERS = supposed('counters');
export const SUPPOSED_KEYS = supposed('idempotency_keys');

/** A table that is being vacuumed is skipped: waiting for it would cancel an autovacuum. */
export const ANALYZE_COUNTERS: Statement = { name: '', text: 'analyze (skip_locked) counters' };
export const ANALYZE_KEYS: Statement = { name: '', text: 'analyze (skip_locked) idempotency_keys' };

/** Removes writers without a batch for seven days: most have ended. One that is merely idle registers again. */
export const REMOVE_WRITERS = prepared(
  'remove-writers',
  `delete from counter_writers where written_at < now() - interval '7 days'`,
);
