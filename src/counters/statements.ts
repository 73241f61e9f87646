import { hash } from 'node:crypto';

export interface Statement {
  /** Under which each connection plans it once; empty: it is planned each time, for its values. */
  name: string;
  text: string;
}

/**
 * Names a statement after its text as well: behind a pooler that hands one server connection to several versions of
 * the service, one name never stands for two texts.
 */
export const prepared = (name: string, text: string): Statement => ({
  name: `${name}-${hash('sha256', text, 'base64url').slice(0, 12)}`,
  text,
});

const TABLES = /(?<=\b(?:from|into|update|join) )(?:counters|counter_writers|idempotency_keys)\b/g;

/** The statement on the tables of a schema, whatever the session's search_path is. */
export function inSchema({ name, text }: Statement, schema: string): Statement {
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const qualified = text.replace(TABLES, (table) => `${quoted}.${table}`);
  return name === '' ? { name, text: qualified } : prepared(name, qualified);
}

/**
 * How long a statement waits for each lock at most: as the session says, or 5 seconds. A pool of an application has no bound of
 * its own, and a statement that is given up without an answer may still be applied. It is asked for before the first lock.
 */
export const PATIENCE = `patience as materialized (
    select set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), '5s'), true) as ms
  )`;

/** When the counter `c` ends, in milliseconds since 1970. */
export const EXPIRES = '(extract(epoch from c.expires_at) * 1000)::bigint';

/** The state of the counter `c`, as `CounterRow` has it. */
export const STATE = `c.value, c.min, c.max, ${EXPIRES} as expires`;

/** Whether the counter `c` has not ended. One that has is as if it did not exist; its row is removed later. */
export const ALIVE = '(c.expires_at <= now()) is not true';

/*
 * The three forms of writing a batch as a whole share their first parameters and their end:
 * - $1, $2: the writer and the number of the batch. The writer's row takes the number last. If that number, or a later
 *   one, is there already, `seq` becomes null, which the column refuses, and with it the whole statement. If the row
 *   is missing, the division fails, and with it the whole statement. So each number is applied once or never.
 * - $3: how long to wait for a lock. `set_config` with `is_local` ends with the statement: no session state.
 * A value that would leave the range, or the bounds of the counter or of an increment, on the way makes `values` null,
 * which that column refuses, as the table does if it is there at the end: then WRITE_SELECTIVE decides. So it does if the
 * counter has ended, and counts from 0.
 * Counters are written in the order of their names, by every replica, so that batches do not deadlock.
 */

/**
 * When a row that is created expires: not before ten minutes from now. If the clock of the service were behind, a bucket
 * could have ended when it is created, and each increment would begin it again.
 */
export const notSoon = (end: string): string =>
  `case when ${end} is not null then greatest(${end}, now() + interval '10 minutes') end`;

/** How the forms for several counters name what `allowed` needs. */
const COLUMNS = { total: 'd.total', low: 'd.low', high: 'd.high', least: 'd.least', most: 'd.most' };

/** @param d the name of a parameter, or column, of the delta; `w`: the counter's row after it was added */
const allowed = (d: Record<'total' | 'low' | 'high' | 'least' | 'most', string>) => `
  w.value - ${d.total} + ${d.low} >= coalesce(w.min, -9007199254740991)
  and w.value - ${d.total} + ${d.high} <= coalesce(w.max, 9007199254740991)
  and (w.value - ${d.total} < ${d.least}) is not true
  and (w.value - ${d.total} > ${d.most}) is not true
  and (w.expires_at <= now()) is not true`;

/**
 * One counter: the common case of a lone caller or of a single hot counter. $4 to $10: name, total, low, high, least,
 * most, and when a row that is created expires.
 */
export const WRITE_ONE = prepared(
  'write-one',
  `
  with patience as materialized (select set_config('lock_timeout', $3, true) as ms),
  written as (
    insert into counters as c (name, value, expires_at)
    select $4::text, $5::bigint, ${notSoon('$10::timestamptz')} where (select ms from patience) is not null
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

/** Several counters. $4 to $10: as with one, for each; null: none has any. */
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
    select name, total, ${notSoon('expires_at')} from delta where (select ms from patience) is not null order by name
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
 * Any counters, with idempotency keys. $11 to $14: for each increment with a key, the key, its request's fingerprint,
 * the counter, and how far behind the counter's value after the batch it is; $15: hours to keep a key.
 * If a key is known, nothing is counted and the known requests are returned. The writer's row takes the number all the
 * same, so that this answer, too, waits for synchronous standbys: what it says must not be undone by a failover.
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
    select name, total, ${notSoon('expires_at')} from delta
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
 * Closes the number $2 of the writer $1 and says what was written under it; empty: nothing, nor ever will be. It waits
 * for an attempt that is under way. It always writes, so that its answer waits for synchronous standbys.
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

/** Which of these keys have been used. It locks them, since a server that only reads may be behind, and refuses that. */
export const KNOWN_KEYS = prepared(
  'known-keys',
  'select key from idempotency_keys where key = any($1::text[]) for key share',
);

/** Those that exist and that no other transaction has locked at the moment. */
export const UNLOCKED = prepared(
  'unlocked',
  'select name from counters where name = any($1::text[]) for no key update skip locked',
);

/**
 * Removes up to $2 rows that expired at $1 or later. A portion begins where the one before ended, which spares the index
 * entries of removed rows: they stay for as long as an old snapshot may need them.
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
  select count(*)::int as count, max(expires_at)::text as last from removed`,
  );

export const REMOVE_KEYS = removal('idempotency_keys', 'key');
export const REMOVE_COUNTERS = removal('counters', 'name');

/** Writers that have ended. One that is only idle registers again. */
export const REMOVE_WRITERS = prepared(
  'remove-writers',
  `delete from counter_writers where written_at < now() - interval '7 days'`,
);
