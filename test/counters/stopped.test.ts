import t, { type Test } from 'tap';
import { Proxy } from '../../load-tests/fault-test/network/proxy.ts';
import { runProgram, until } from '../helper.ts';
import { slow } from '../pace.ts';
import {
  bulk,
  create,
  one,
  outcomeOf,
  sessionsOn,
  setUp as setUpReplica,
  valuesIn,
  writerOn,
} from './replica.ts';
import { commits, interrupted } from './unreliable.ts';

/** How long other replicas may need for a counter that a stopped one has locked, in milliseconds. */
const ANSWERED_MS_MAX = 2500;

/** A counter, and a replica that is not stopped. */
async function setUp(t: Test) {
  const { databaseUrl, sessions, client } = await setUpReplica(t);
  await create(client, 'existing');
  const writer = writerOn(sessions, { lockMsMax: 500 });
  await writer.submit(one('warm'));
  return { databaseUrl, client, writer };
}

/** What a stopped replica holds the locks of: a counter that exists, and one that it creates. */
const REQUEST = { increments: ['existing', 'new'].map((name) => ({ name, by: 1, max: 1000 })), key: 'key' };

/** The callers of these counters at another replica: none is refused, and none waits for long. */
async function assertServed(t: Test, writer: ReturnType<typeof writerOn>): Promise<void> {
  const since = performance.now();
  const requests = [
    one('existing'),
    one('new'),
    bulk('existing', 'new'),
    ...['existing', 'new'].map(boundedOf),
  ];
  const pending = requests.map((request) => outcomeOf(writer, request));
  t.strictSame(await outcomeOf(writer, one('free')), [1]);
  t.ok(performance.now() - since < slow(800), 'a counter that is not locked');
  const outcomes = await Promise.all(pending);
  const ms = Math.round(performance.now() - since);
  t.ok(ms < slow(ANSWERED_MS_MAX), `answered after ${ms} ms`);
  t.ok(
    outcomes.every((outcome) => Array.isArray(outcome)),
    JSON.stringify(outcomes),
  );
}

const boundedOf = (name: string) => ({ increments: [{ name, by: 1, max: 1000 }] });

const TOTALS = { existing: 4, free: 1, new: 4, warm: 1 };

t.test('the process of a replica that stops in a transaction holds its locks for a second', async (t) => {
  const { databaseUrl, client, writer } = await setUp(t);
  const { child, ended } = runProgram(t, ['test/counters/stopped-replica.ts'], { DATABASE_URL: databaseUrl });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  await until(async () => output.includes('stopped'));
  await assertServed(t, writer);
  child.kill('SIGCONT');
  const { code, stdout, stderr } = await ended;
  t.strictSame([code, stderr], [0, '']);
  t.strictSame(JSON.parse(stdout.split('\n')[1] ?? ''), { values: [4, 4], replayed: false });
  t.strictSame(await valuesIn(client), TOTALS, 'its request is counted once when it goes on');
  t.match(await writer.submit(REQUEST), { replayed: true });
});

t.test('a replica whose network fails in a transaction holds its locks for a second', async (t) => {
  const { databaseUrl, client, writer } = await setUp(t);
  const proxy = new Proxy(Number(new URL(databaseUrl).port));
  await proxy.listen();
  t.teardown(() => proxy.close());
  const sessions = sessionsOn(t, databaseUrl.replace(/:\d+\//, `:${proxy.port}/`));
  let silenced = false;
  const interruptible = interrupted(sessions, (texts) => {
    if (silenced || !commits(texts)) return;
    silenced = true;
    // Both sides keep the connection open, and nothing arrives.
    proxy.silence();
  });
  const outcome = outcomeOf(writerOn(interruptible, { lockMsMax: 500 }), REQUEST);
  await until(async () => silenced);
  await assertServed(t, writer);
  proxy.heal();
  t.strictSame(await outcome, [4, 4]);
  t.strictSame(await valuesIn(client), TOTALS, 'its request is counted once when the network is back');
  t.match(await writer.submit(REQUEST), { replayed: true });
});
