import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { migrateCounters } from '../../src/counters/migration.ts';
import type { CounterRequest } from '../../src/counters/request.ts';
import { rowOfCounter } from '../../src/counters/row.ts';
import type { CounterWriter } from '../../src/counters/writer.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import type { Sessions } from '../../src/database/sessions.ts';
import { probeSessions } from '../../src/database/settings.ts';
import { silent, testClient, until } from '../helper.ts';
import { ownServer } from '../own-server.ts';
import { slow } from '../pace.ts';
import { requireMissingStandby, requireNoStandby } from '../standby.ts';
import { answerOf, one, SCHEMA, storeOn, writerOn } from './replica.ts';

/** A server that can be made to wait for a standby, with the tables of the counters. */
async function setUp(t: Test, prepare = '') {
  const { databaseUrl } = await ownServer(t);
  const client = await testClient(t, databaseUrl);
  if (prepare) await client.query(prepare);
  const config = loadConfig({});
  const session = await probeSessions(databaseUrl, config, () => {});
  const newSessions = (): Sessions => {
    const sessions = openCounterSessions(driverFor(databaseUrl), { config, log: silent, session });
    t.teardown(() => sessions.end());
    return sessions;
  };
  await migrateCounters(newSessions(), SCHEMA);
  return {
    client,
    /** One replica of the service. */
    newWriter: (settleMsMax?: number) =>
      writerOn(newSessions(), { lockMsMax: 250, ...(settleMsMax === undefined ? {} : { settleMsMax }) }),
    newStore: () => storeOn(newSessions()),
    requireStandby: () => requireMissingStandby(client, databaseUrl),
    requireNoStandby: () => requireNoStandby(client),
    /** The backends whose commits are on the disk of this server and wait for a standby. */
    waiting: async (): Promise<number[]> => {
      const { rows } = await client.query<{ pid: number }>(
        `select pid from pg_stat_activity where wait_event = 'SyncRep'`,
      );
      return rows.map(({ pid }) => pid);
    },
  };
}

const replicated = await setUp(t);

for (const [statement, bounds] of [
  ['a plain increment', {}],
  ['an increment with its own bound', { max: 5 }],
] as const)
  t.test(
    `${statement} that no synchronous standby has confirmed is not acknowledged, even if its number or its key is found`,
    async (t) => {
      const { client, newWriter, requireStandby, requireNoStandby: confirm, waiting } = replicated;
      const [first, second] = [newWriter(), newWriter()];
      // Both writers register and connect while commits do not wait for a standby.
      for (const writer of [first, second]) await writer.submit(one('warm'));
      await requireStandby();
      const request = { increments: [{ name: statement, by: 1, ...bounds }], key: statement };
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
      const visible = await client.query('select value::int from safe_counters.counters where name = $1', [
        statement,
      ]);
      t.strictSame(visible.rows, [{ value: 1 }]);
      t.equal(answered, 0);
      await confirm();
      t.strictSame(await Promise.all([lost, same]), [
        { values: [1], replayed: false },
        { values: [1], replayed: true },
      ]);
    },
  );

const own = (name: string) => ({ increments: [{ name, by: 1, min: 0, max: 0 }] });

const wasReplayed = (answer: unknown) => (answer as { replayed?: boolean }).replayed;

t.test(
  'every acknowledgement waits for the standby, also of what was found or not changed, and no refusal does',
  async (t) => {
    const { client, newWriter, requireStandby, requireNoStandby: confirm, waiting } = replicated;
    const exists = { value: 0, min: 0, max: 0, expiresAt: null };
    await client.query(
      `insert into safe_counters.counters (name, value, min, max)
       select name, 0, 0, 0 from unnest($1::text[]) as name`,
      [['full', 'full too', 'set', 'deleted', 'refused']],
    );
    const change = { name: 'set', change: { max: 5 }, precondition: 'exists' } as const;
    const replays: CounterRequest[] = [
      one('replayed', 1, 'plain key'),
      { increments: [{ name: 'replayed too', by: 1, max: 5 }], key: 'key' },
      { ...one('full', 3, 'partial key'), partial: true },
      { ...change, name: 'changed', precondition: 'missing', key: 'key of a change' },
    ];
    const earlier = newWriter();
    for (const request of replays) await earlier.submit(request);
    const acknowledged: CounterRequest[] = [
      ...replays,
      one('plain'),
      { ...one('full too', 3), partial: true },
      { increments: [{ name: 'bounded', by: 1, max: 5 }] },
      change,
      { name: 'deleted', change: undefined, precondition: { oneOf: [exists] } },
      { name: 'never existed', change: undefined, precondition: 'exists' },
    ];
    const refused: [CounterRequest, string][] = [
      [own('refused'), 'out_of_bounds'],
      [own('new and refused'), 'out_of_bounds'],
      [{ ...change, name: 'missing' }, 'precondition_failed'],
      [{ ...change, name: 'refused', precondition: 'missing' }, 'precondition_failed'],
      [
        { name: 'refused', change: undefined, precondition: { oneOf: [{ ...exists, value: 7 }] } },
        'precondition_failed',
      ],
      [{ ...own('new and refused'), key: 'key' }, 'key_reused'],
    ];
    // One replica for each request, so that none waits for the batch of another.
    const writers = [...acknowledged, ...refused].map(() => newWriter());
    for (const writer of writers) await writer.submit(one('warm'));
    await requireStandby();
    const answered = new Set<number>();
    const answers = acknowledged.map((request, i) =>
      answerOf(writers[i] as CounterWriter, request).finally(() => answered.add(i)),
    );
    await until(async () => (await waiting()).length === acknowledged.length);
    for (const [i, [request, code]] of refused.entries()) {
      const since = performance.now();
      t.equal(await answerOf(writers[acknowledged.length + i] as CounterWriter, request), code);
      t.ok(performance.now() - since < slow(1000), `took ${Math.round(performance.now() - since)} ms`);
    }
    t.equal(answered.size, 0);
    await confirm();
    t.strictSame((await Promise.all(answers)).map(wasReplayed), [
      ...replays.map(() => true),
      ...acknowledged.slice(replays.length).map(() => false),
    ]);
  },
);

t.test('a look at locks waits for no standby', async (t) => {
  const { client, newStore, requireStandby, requireNoStandby: confirm } = replicated;
  await client.query(`insert into safe_counters.counters (name, value) values ('looked at', 0)`);
  const store = newStore();
  await requireStandby();
  const places = [rowOfCounter('looked at'), rowOfCounter('absent')];
  t.strictSame(await store.look(places), new Map([['looked at', null]]));
  t.strictSame(await store.probe([...places, '00'.repeat(16)]), ['exists', 'free', 'free']);
  await confirm();
});

t.test('an unconfirmed commit is not acknowledged, even if the role hides warnings', async (t) => {
  const {
    client,
    newWriter,
    requireStandby,
    requireNoStandby: confirm,
  } = await setUp(t, 'alter role current_user set client_min_messages = error');
  for (const bounds of [{}, { max: 5 }]) {
    const writer = newWriter(100);
    await writer.submit(one('warm'));
    await requireStandby();
    let answered = false;
    const outcome = answerOf(writer, { increments: [{ name: 'likes', by: 1, ...bounds }] }).finally(() => {
      answered = true;
    });
    // As an operator or a proxy does that cancels slow statements.
    await until(async () => {
      await client.query(
        `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and pid <> pg_backend_pid()`,
      );
      return answered;
    });
    t.equal(await outcome, 'outcome_unknown');
    await confirm();
  }
});
