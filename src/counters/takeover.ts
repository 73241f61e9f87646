import { setTimeout } from 'node:timers/promises';
import { demosSchema, quoted } from '../database/schema.ts';
import { StartupError } from '../errors/startup-error.ts';

/** Runs statements one after another in the transaction of a migration, and returns the rows of the last one. */
export type Run = <Row extends object>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/*
 * Takes over the data of the versions before 0.2, which no release contained. Their service had its tables in the default
 * schema of its role, next to those of the demonstrations, and recorded its migrations in MikroORM's default table. Their
 * library had the same tables in a schema of its own.
 */

/** Tables of an earlier version. */
interface Old {
  schema: string;
  /** Those of the service, next to MikroORM's table of migrations, or those of the library. */
  kind: 'service' | 'library';
}

/** The migrations of the service, by the names under which MikroORM recorded them. */
const MIGRATIONS = [
  '20261121000000_posts',
  '20261121010000_like_slots_and_entries',
  '20261121020000_counters',
  '20261124000000_counter_writers',
  '20261125000000_requested_posts',
  '20261127000000_counter_bounds',
  '20261127010000_post_stock',
  '20261129000000_counter_expiry',
];

/** The columns of the tables, with those that only some of the versions had. */
const COLUMNS = {
  counters: {
    needed: ['name text', 'value int8'],
    possible: ['min int8', 'max int8', 'expires_at timestamptz'],
  },
  idempotency_keys: {
    needed: ['expires_at timestamptz', 'key text', 'request text', 'values _int8'],
    possible: [],
  },
};

/** How long to wait until no earlier version is connected any more, in milliseconds. */
const CONNECTED_MS_MAX = 5000;
const POLL_MS = 100;

/** @param schema that of the counters @returns the tables of earlier versions, if there are any */
export async function oldTables(run: Run, schema: string): Promise<Old[]> {
  const found: Old[] = [];
  if ((await exists(run, schema, 'migration_steps')) && (await isOurs(run, schema)))
    found.push({ schema, kind: 'library' });
  const [row] = await run<{ role: string }>('select current_user::text as role');
  for (const place of new Set(['public', row?.role ?? 'public'])) {
    if (place === schema || !(await exists(run, place, 'mikro_orm_migrations'))) continue;
    if ((await recorded(run, place)).includes('20261121020000_counters') && (await isOurs(run, place)))
      found.push({ schema: place, kind: 'service' });
  }
  return found;
}

/** Makes room in the schema for the tables of this version. @returns where the tables are now */
export async function setAside(run: Run, old: Old): Promise<Old> {
  if (old.kind === 'service') return old;
  const aside = { ...old, schema: `${old.schema}_before` };
  await run(`create schema ${quoted(aside.schema)}`);
  for (const table of ['counters', 'idempotency_keys', 'counter_writers'])
    await run(`alter table if exists ${at(old, table)} set schema ${quoted(aside.schema)}`);
  await run(`drop table ${at(old, 'migration_steps')}`);
  return aside;
}

/**
 * Moves the data of an earlier version to the tables of this version. Nothing remains with which that version could start
 * again, or count if it is still running.
 *
 * @throws {StartupError} while an earlier version is connected, or when both have data
 */
export async function takeOver(run: Run, old: Old, schema: string): Promise<string> {
  await assertDisconnected(run);
  for (const table of ['counters', 'idempotency_keys'])
    await run(`lock table ${at(old, table)} in access exclusive mode`);
  const hasData = await isFilled(run, old.schema);
  if (hasData && (await isFilled(run, schema))) throw new StartupError(bothHaveData(old.schema, schema));
  const counters = await copyCounters(run, old, schema);
  const keys = await copyKeys(run, old, schema);
  for (const table of ['counters', 'idempotency_keys', 'counter_writers', 'counter_receipts'])
    await run(`drop table if exists ${at(old, table)}`);
  if (old.kind === 'library') await run(`drop schema ${quoted(old.schema)}`);
  else await leaveDefaultSchema(run, old, schema);
  return `moved ${counters} counters and windows, and ${keys} idempotency keys, of an earlier version to the schema ${schema}`;
}

const at = ({ schema }: Old, table: string): string => `${quoted(schema)}.${table}`;

const bothHaveData = (before: string, now: string): string =>
  `an earlier version has counters in the schema ${before}, and this one has counters in ${now}: it is not known which of them ` +
  `are right; set DATABASE_SCHEMA to another schema, or empty the tables of one of them (counters, idempotency_keys)`;

async function assertDisconnected(run: Run): Promise<void> {
  const endsAt = performance.now() + CONNECTED_MS_MAX;
  for (;;) {
    const connected = await run<{ pid: number }>(
      `select pid from pg_stat_activity
       where datname = current_database() and application_name = 'safe-counters' and pid <> pg_backend_pid()`,
    );
    if (connected.length === 0) return;
    if (performance.now() > endsAt) {
      throw new StartupError(
        `an earlier version is connected to the database (application safe-counters, process ${connected.map(({ pid }) => pid).join(', ')}): ` +
          'stop all of its replicas first; behind a pooler, its connections end with RECONNECT',
      );
    }
    await setTimeout(POLL_MS);
  }
}

async function copyCounters(run: Run, old: Old, schema: string): Promise<number> {
  const from = at(old, 'counters');
  await run(
    `alter table ${from} add column if not exists min bigint, add column if not exists max bigint,
       add column if not exists expires_at timestamptz`,
  );
  // A window was a row with the name \x1f length \x1f start \x1f name of the counter, both numbers in milliseconds.
  const [row] = await run<{ count: string }>(
    `with copied as (
       insert into ${quoted(schema)}.counters (period, name, starts_at, value, min, max, exists_until)
       select coalesce(w.length || w.unit, ''), coalesce(w.name, c.name), coalesce(w.starts_at, '-infinity'),
              c.value, c.min, c.max, date_trunc('milliseconds', c.expires_at)
       from ${from} as c
       left join lateral (
         select split_part(c.name, chr(31), 4) as name, to_timestamp(s.start / 1000.0) as starts_at, u.unit, s.ms / u.ms as length
         from (select split_part(c.name, chr(31), 2)::bigint as ms, split_part(c.name, chr(31), 3)::bigint as start) as s
         join (values ('d', 86400000), ('h', 3600000), ('m', 60000), ('s', 1000)) as u (unit, ms) on s.ms % u.ms = 0
         where starts_with(c.name, chr(31))
         order by u.ms desc limit 1
       ) as w on true
       returning 1
     )
     select count(*)::text as count from copied`,
  );
  return Number(row?.count);
}

/**
 * Keys were stored as text, with the name of the caller and a space before them, and requests as 22 characters of the same
 * digest. Of two keys that have become one (`"k"` and `k`), the one that is kept longer counts.
 */
async function copyKeys(run: Run, old: Old, schema: string): Promise<number> {
  const [row] = await run<{ count: string }>(
    `with parts as (
       select k.*, case when strpos(k.key, ' ') > 0 then split_part(k.key, ' ', 1) || chr(10) else '' end as caller,
              split_part(k.key, ' ', case when strpos(k.key, ' ') > 0 then 2 else 1 end) as own
       from ${at(old, 'idempotency_keys')} as k
     ),
     bare as (
       select p.*, case when own ~ '^"([!#-\\[\\]-~]|\\\\["\\\\])+"$'
                        then regexp_replace(substr(own, 2, length(own) - 2), '\\\\(["\\\\])', '\\1', 'g') else own end as key_text
       from parts as p
     ),
     copied as (
       insert into ${quoted(schema)}.idempotency_keys (key, request, answer, expires_at)
       select substr(sha256(convert_to(caller || key_text, 'UTF8')), 1, 16),
              substr(decode(rpad(translate(request, '-_', '+/'), 24, '='), 'base64'), 1, 16),
              jsonb_build_object('values', to_jsonb("values")), expires_at
       from bare order by expires_at desc
       on conflict (key) do nothing
       returning 1
     )
     select count(*)::text as count from copied`,
  );
  return Number(row?.count);
}

/** Moves the tables of the demonstrations to their schema, and removes what is recorded of our migrations. */
async function leaveDefaultSchema(run: Run, old: Old, schema: string): Promise<void> {
  const demos = demosSchema(schema);
  const names = ['posts', 'like_slots', 'like_entries', 'requested_posts'];
  const present: string[] = [];
  for (const name of names) if (await exists(run, old.schema, name)) present.push(name);
  if (present.length > 0) await run(`create schema if not exists ${quoted(demos)}`);
  for (const name of present) {
    if (await exists(run, demos, name)) throw new StartupError(bothHaveData(old.schema, demos));
    const kind = name === 'requested_posts' ? 'sequence' : 'table';
    await run(`alter ${kind} ${at(old, name)} set schema ${quoted(demos)}`);
  }
  const table = at(old, 'mikro_orm_migrations');
  await run(`delete from ${table} where name = any ($1::text[])`, [MIGRATIONS]);
  // It may be that of an application, too.
  if ((await run(`select from ${table} limit 1`)).length === 0) await run(`drop table ${table}`);
  // An earlier version that starts again creates its tables: this name, which no other version has, makes it fail.
  const guard = at(old, 'counter_receipts');
  await run(`create view ${guard} as select ${literal(`the counters are in the schema ${schema}`)} as moved`);
  await run(
    `comment on view ${guard} is 'makes versions of safe-counters before 0.2 fail at their start; can be dropped when none is left'`,
  );
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'::text`;

const exists = async (run: Run, schema: string, name: string): Promise<boolean> =>
  (await run('select where to_regclass($1::text) is not null', [`${quoted(schema)}.${quoted(name)}`]))
    .length > 0;

/** Whether a role can see its migrations there, and which of ours they are. */
async function recorded(run: Run, schema: string): Promise<string[]> {
  const table = `${quoted(schema)}.mikro_orm_migrations`;
  if ((await run(`select where has_table_privilege($1::text, 'select')`, [table])).length === 0) return [];
  const rows = await run<{ name: string }>(`select name::text as name from ${table}`);
  return rows.map(({ name }) => name.replace(/\.[jt]s$/, '')).filter((name) => MIGRATIONS.includes(name));
}

/** Whether the tables in the schema have the columns of ours, and no others. */
async function isOurs(run: Run, schema: string): Promise<boolean> {
  for (const [table, { needed, possible }] of Object.entries(COLUMNS)) {
    const rows = await run<{ column: string }>(
      `select a.attname || ' ' || t.typname as column from pg_attribute as a join pg_type as t on t.oid = a.atttypid
       where a.attrelid = to_regclass($1::text) and a.attnum > 0 and not a.attisdropped`,
      [`${quoted(schema)}.${quoted(table)}`],
    );
    const columns = rows.map(({ column }) => column);
    if (!needed.every((column) => columns.includes(column))) return false;
    if (columns.some((column) => ![...needed, ...possible].includes(column))) return false;
  }
  return true;
}

async function isFilled(run: Run, schema: string): Promise<boolean> {
  for (const table of ['counters', 'idempotency_keys'])
    if ((await run(`select from ${quoted(schema)}.${table} limit 1`)).length > 0) return true;
  return false;
}
