import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { compose } from '../../src/counters/batch.ts';
import { decide } from '../../src/counters/decide.ts';
import { type CounterRequest, pendingOf } from '../../src/counters/request.ts';
import { rowOfCounter } from '../../src/counters/row.ts';
import { type BatchId, CounterStore } from '../../src/counters/store.ts';
import { windowsAt } from '../../src/counters/windows.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import { Sessions } from '../../src/database/sessions.ts';
import { probeSessions } from '../../src/database/settings.ts';
import { databaseTimeouts, silent, testClient, testDatabase, testPool } from '../helper.ts';
import { noPgBouncer, pgbouncer } from '../pgbouncer.ts';
import { SCHEMA } from './replica.ts';

/** The rows that each table has when it has grown. */
const ROWS = 100_000;

/** The rows that one use of a statement needs here. */
const NEEDED = 20;

const TABLES = ['counters', 'idempotency_keys', 'writers'];

/** Nothing but the statements themselves keeps their plans up to date: no autovacuum analyzes the tables. */
async function emptyTables(client: Client): Promise<void> {
  for (const table of TABLES)
    await client.query(`alter table safe_counters.${table} set (autovacuum_enabled = false)`);
  // As an operator does once: the statistics say that there are no rows.
  await client.query(`vacuum analyze ${TABLES.map((table) => `safe_counters.${table}`).join()}`);
}

const grow = (client: Client) =>
  client.query(
    `insert into safe_counters.counters (name, value, exists_until)
     select 'old ' || i, i, case when i % 10 = 0 then now() + interval '1 day' end from generate_series(1, ${ROWS / 2}) as i on conflict do nothing;
     insert into safe_counters.counters (name, value, exists_until)
     select 'gone ' || i, i, now() - make_interval(secs => i) from generate_series(1, 1000) as i;
     insert into safe_counters.counters (period, name, starts_at, value, exists_until)
     select '1h', 'old ' || i % 100, date_trunc('hour', now()) - make_interval(hours => i / 100), i, now() + interval '1 day'
     from generate_series(0, ${ROWS / 2 - 1}) as i on conflict do nothing;
     insert into safe_counters.idempotency_keys
     select sha256(convert_to(i::text, 'UTF8')), '', '{"value": 1}', now() + make_interval(secs => i - 1000)
     from generate_series(1, ${ROWS}) as i;
     insert into safe_counters.writers (id, seq) select gen_random_uuid(), 0 from generate_series(1, ${ROWS}) as i`,
  );

const anyKey = () => ({ key: randomUUID() });

/** Each statement of the store, for so many rows: those that exist, others that do not, and keys. */
function statementsOf(
  store: CounterStore,
  next: () => BatchId,
  count: number,
): Record<string, () => Promise<unknown>> {
  const requests = (more: (i: number) => object): CounterRequest[] =>
    Array.from({ length: count }, (_, i) => ({
      increments: [{ name: `old ${i + 1}`, by: 1 }],
      ...more(i),
    }));
  const write = (more: (i: number) => object) => store.write(compose(requests(more).map(pendingOf)), next());
  const decideOn = (more: (i: number) => object) => {
    const pending = requests(more).map(pendingOf);
    return store.decide(pending, next(), (world) => decide(pending, world));
  };
  const rows = Array.from({ length: count }, (_, i) => rowOfCounter(`old ${i + 1}`));
  const names = rows.map(({ name }) => name);
  return {
    'write one row': () =>
      store.write(compose([pendingOf({ increments: [{ name: 'old 1', by: 1 }] })]), next()),
    write: () => write(() => ({})),
    'write with keys': () => write(anyKey),
    'write windows': () => write((i) => ({ increments: [{ name: `old ${i + 1}`, by: 1, window: '1h' }] })),
    decide: () => decideOn(() => ({ partial: true, ...anyKey() })),
    'decide on changes': () =>
      decideOn((i) => ({ name: `old ${i + 1}`, change: { max: null }, precondition: 'exists', ...anyKey() })),
    'decide on new rows': () =>
      decideOn(() => ({ increments: [{ name: `new ${randomUUID()}`, by: 1, max: 1 }] })),
    delete: async () => {
      const name = `new ${randomUUID()}`;
      for (const request of [
        { name, change: { value: 1 }, precondition: 'missing' },
        { name, change: undefined, precondition: 'exists' },
      ] as const)
        await store.decide([pendingOf(request)], next(), (world) => decide([pendingOf(request)], world));
    },
    close: () => store.close(next()),
    states: () => store.states([...names, 'absent']),
    list: () => store.list('old 5', 'old 5', count),
    windows: () => store.windows(windowsAt('old 7', '1h', Date.now(), count)),
    look: () => store.look(rows),
    probe: () => store.probe([...rows.slice(0, 10), randomBytes(16).toString('hex')]),
    'remove keys': () => store.removeKeys(count),
    'remove counters': () => store.removeCounters(count),
  };
}

interface Scans {
  /** Rows and entries of indexes that were read. */
  rows: number;
  entries: number;
}

/** What the statements have read of the tables, once their backend has reported it. */
async function scansOf(sessions: Sessions, client: Client): Promise<Scans> {
  await sessions.query({ name: '', text: 'select pg_stat_force_next_flush()', values: [] });
  const { rows } = await client.query<Scans>(
    `select (select sum(seq_tup_read)::int from pg_stat_user_tables where relname = any ($1)) as rows,
            (select sum(idx_tup_read)::int from pg_stat_user_indexes where relname = any ($1)) as entries`,
    [TABLES],
  );
  return rows[0] as Scans;
}

/** What each statement reads in tables that have grown since it was prepared. */
async function scansAfterGrowth(sessions: Sessions, client: Client): Promise<Record<string, Scans>> {
  const backend = async () =>
    (await sessions.query({ name: '', text: 'select pg_backend_pid()::text as pid', values: [] })).rows;
  const store = new CounterStore(sessions, { keyHours: 24, lockMsMax: 60_000, schema: SCHEMA });
  const writer = randomUUID();
  await store.register(writer);
  await emptyTables(client);
  let seq = 0;
  const next = () => ({ writer, seq: (seq += 1) });
  // PostgreSQL keeps one plan from the sixth execution on, if it seems to be as good as those for the values.
  for (const use of Object.values(statementsOf(store, next, 2))) for (let i = 0; i < 7; i += 1) await use();
  const before = await backend();
  await grow(client);
  const scans: Record<string, Scans> = {};
  for (const [what, use] of Object.entries(statementsOf(store, next, NEEDED))) {
    await use();
    const earlier = await scansOf(sessions, client);
    await use();
    const later = await scansOf(sessions, client);
    scans[what] = { rows: later.rows - earlier.rows, entries: later.entries - earlier.entries };
  }
  assert.deepEqual(await backend(), before, 'the statements are those that were prepared');
  return scans;
}

/** Connections that a pool does not close while the tables grow. */
const lasting = { idleTimeoutMillis: 0 };

async function assertPlans(t: Test, url: string, client: Client): Promise<void> {
  const config = { ...loadConfig(databaseTimeouts()), POOL_MAX: 1 };
  const session = await probeSessions(url, config, silent.warn);
  const sessions = openCounterSessions({ ...driverFor(url), ...lasting }, { config, log: silent, session });
  t.teardown(() => sessions.end());
  for (const [what, { rows, entries }] of Object.entries(await scansAfterGrowth(sessions, client))) {
    t.equal(rows, 0, `${what}: no row is read by scanning a table`);
    t.ok(entries <= 10 * NEEDED, `${what}: ${entries} entries of indexes are read`);
  }
}

t.test(
  'no statement scans a table or an index that has grown since the statement was prepared',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    await assertPlans(t, databaseUrl, await testClient(t, databaseUrl));
  },
);

t.test('without the settings of the connections, some would: the control of the other tests', async (t) => {
  const connectionString = await testDatabase(t);
  const sessions = new Sessions(testPool(t, { connectionString, max: 1, ...lasting }));
  const scans = await scansAfterGrowth(sessions, await testClient(t, connectionString));
  const rows = Object.values(scans).reduce((sum, each) => sum + each.rows, 0);
  t.ok(rows >= ROWS, `${rows} rows are read by scanning tables`);
});

const IGNORED = 'options,lock_timeout,statement_timeout,idle_in_transaction_session_timeout';

for (const [behaviour, settings] of [
  ['refuses', ''],
  ['ignores', `ignore_startup_parameters = ${IGNORED}`],
] as const)
  t.test(
    `nor does one behind a pooler that ${behaviour} session settings`,
    { skip: noPgBouncer },
    async (t) => {
      const database = new URL(await testDatabase(t));
      const port = await pgbouncer(t, Number(database.port), `default_pool_size = 1\n${settings}`);
      const url = `postgresql://postgres:test@127.0.0.1:${port}${database.pathname}`;
      await assertPlans(t, url, await testClient(t, database.href));
    },
  );
