import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter } from '../../src/counters/writer.ts';
import { openSessions } from '../../src/database/pool.ts';
import { probeSessions } from '../../src/database/settings.ts';
import { silent, testClient, until } from '../helper.ts';
import { ownServer } from '../own-server.ts';
import { requireMissingStandby, requireNoStandby } from '../standby.ts';

const { databaseUrl } = await ownServer(t);
const client = await testClient(t, databaseUrl);
const options = { databaseUrl, config: loadConfig({}), log: silent };
const noEvents = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

/** One replica of the service. */
function newWriter(): CounterWriter {
  const sessions = openSessions(options);
  t.teardown(() => sessions.end());
  return new CounterWriter(new CounterStore(sessions, { keyHours: 24, lockMsMax: 250 }), noEvents);
}

/** The backends whose commits are on the disk of this server and wait for a standby. */
async function waiting(): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity where wait_event = 'SyncRep'`,
  );
  return rows.map(({ pid }) => pid);
}

t.test(
  'an increment that no synchronous standby has confirmed is not acknowledged, even if its number or its key is found',
  async (t) => {
    const [first, second] = [newWriter(), newWriter()];
    // Both writers register and connect while commits do not wait for a standby.
    for (const writer of [first, second]) await writer.submit({ increments: [{ name: 'warm', by: 1 }] });
    await requireMissingStandby(client, databaseUrl);
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
    // The increment is visible now, and it is on no standby. The first writer settles its lost answer, and the second one
    // looks up the same key. Both find the increment, and both must wait.
    const same = submit(second);
    await until(async () => (await waiting()).filter((pid) => pid !== backend).length === 2);
    t.strictSame((await client.query(`select value::int from counters where name = 'likes'`)).rows, [
      { value: 1 },
    ]);
    t.equal(answered, 0);
    await requireNoStandby(client);
    t.strictSame(await Promise.all([lost, same]), [
      { values: [1], replayed: false },
      { values: [1], replayed: true },
    ]);
  },
);

t.test('an unconfirmed commit is not acknowledged, even if the role hides warnings', async (t) => {
  const { databaseUrl: url } = await ownServer(t);
  const administrator = await testClient(t, url);
  await administrator.query('alter role current_user set client_min_messages = error');
  const config = loadConfig({});
  const session = await probeSessions(url, config, () => {});
  const own = { databaseUrl: url, config, log: silent, session };
  const sessions = openSessions(own);
  t.teardown(() => sessions.end());
  const store = new CounterStore(sessions, { keyHours: 24, lockMsMax: 250 });
  const writer = new CounterWriter(store, noEvents, { settleMsMax: 100 });
  await writer.submit({ increments: [{ name: 'warm', by: 1 }] });
  await requireMissingStandby(administrator, url);
  let answered = false;
  const outcome = writer.submit({ increments: [{ name: 'likes', by: 1 }] }).then(
    () => 'acknowledged',
    (error: { code?: string }) => error.code,
  );
  void outcome.then(() => (answered = true));
  // As an operator or a proxy does that cancels slow statements.
  await until(async () => {
    await administrator.query(
      `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and pid <> pg_backend_pid()`,
    );
    return answered;
  });
  t.equal(await outcome, 'outcome_unknown');
  await requireNoStandby(administrator);
});
