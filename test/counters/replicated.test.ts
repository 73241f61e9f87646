import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter } from '../../src/counters/writer.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openSessions } from '../../src/database/orm.ts';
import { entities } from '../../src/entities.ts';
import { silent, testClient, until } from '../helper.ts';
import { ownServer } from '../own-server.ts';

const { databaseUrl } = await ownServer(t);
const client = await testClient(t, databaseUrl);
const options = { databaseUrl, entities, config: loadConfig({}), log: silent };
await migrate(options);
const unheard = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

/** One replica of the service. */
function newWriter(): CounterWriter {
  const sessions = openSessions(options);
  t.teardown(() => sessions.end());
  return new CounterWriter(new CounterStore(sessions, { keyHours: 24, lockMsMax: 250 }), unheard);
}

const standbys = async (names: string) => {
  await client.query(`alter system set synchronous_standby_names = '${names}'`);
  await client.query('select pg_reload_conf()');
  await until(async () => {
    const { rows } = await client.query<{ names: string }>(
      `select current_setting('synchronous_standby_names') as names`,
    );
    return rows[0]?.names === names;
  });
};

/** The backends whose commits are on this server's disk, and wait for a standby. */
async function waiting(): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity where wait_event = 'SyncRep'`,
  );
  return rows.map(({ pid }) => pid);
}

t.test(
  'what no synchronous standby has confirmed is not acknowledged, whichever way it is found out',
  async (t) => {
    const [first, second] = [newWriter(), newWriter()];
    // Registered while commits do not wait, and each with a connection.
    for (const writer of [first, second]) await writer.submit({ increments: [{ name: 'warm', by: 1 }] });
    await standbys('missing');
    const request = { increments: [{ name: 'likes', by: 1 }], key: 'key' };
    let answered = 0;
    const submit = (writer: CounterWriter) =>
      writer.submit(request).finally(() => {
        answered += 1;
      });
    const lost = submit(first);
    await until(async () => (await waiting()).length === 1);
    const [backend] = await waiting();
    await client.query('select pg_terminate_backend($1)', [backend]);
    // The row is visible now, and it is on no standby. The first writer looks for its lost answer, the second one for
    // the same key: both find it, and both must wait.
    const same = submit(second);
    await until(async () => (await waiting()).filter((pid) => pid !== backend).length === 2);
    t.strictSame((await client.query(`select value::int from counters where name = 'likes'`)).rows, [
      { value: 1 },
    ]);
    t.equal(answered, 0);
    await standbys('');
    t.strictSame(await Promise.all([lost, same]), [
      { values: [1], replayed: false },
      { values: [1], replayed: true },
    ]);
  },
);
