import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import t from 'tap';
import { counterPeers } from '../../load-tests/benchmark/peers/counter-peers.ts';
import { inProcess } from '../../load-tests/benchmark/peers/in-process.ts';
import { withOwnRedis } from '../../load-tests/benchmark/peers/own-redis.ts';
import { names, type Peer } from '../../load-tests/benchmark/peers/peer.ts';
import type { PeersResult } from '../../load-tests/benchmark/peers/peers-benchmark.ts';
import { postgresPeers } from '../../load-tests/benchmark/peers/postgres-peers.ts';
import { redisPeers } from '../../load-tests/benchmark/peers/redis-peers.ts';
import { takeTurn } from '../../load-tests/benchmark/peers/subject.ts';
import { CHECKOUT, ONLY_PROGRESS, runProgram, testDatabase, testFolder, until } from '../helper.ts';
import { hasRedis } from '../redis.ts';

const skip = hasRedis() ? false : 'redis-server is not installed';
const COMMAND = ['load-tests/benchmark/main.ts', '--only', 'peers'];

t.test('the benchmark compares each peer under each load, and prints the targets', { skip }, async (t) => {
  const json = join(await testFolder(t, 'figures'), 'benchmark.json');
  const args = [...COMMAND, '--rounds', '3', '--slice', '50', '--json', json];
  const { code, stdout, stderr } = await runProgram(t, args).ended;
  t.equal(code, 0, stderr);
  for (const name of Object.values(names))
    t.match(stdout, new RegExp(`^${name} +\\d`, 'm'), `${name} has a line with figures`);
  t.match(
    stdout,
    /^counters ÷ Redis INCR, one hot counter, c = 128 +\S+ +\S+ to \S+ +1\.5 +2 +(MISSED|enough|reached)$/m,
  );
  const { peers } = JSON.parse(await readFile(json, 'utf8')) as { peers: PeersResult };
  t.equal(peers.rounds.length, 3);
  // On a busy machine, a single turn of 50 ms may end without an answer.
  const answered = new Map<string, number>();
  for (const { load, peer, callers, seen } of peers.rounds.flat()) {
    const turn = `${peer}, ${load}, ${callers} callers`;
    answered.set(turn, (answered.get(turn) ?? 0) + (seen.answers[200] ?? 0));
  }
  for (const [turn, count] of answered) t.ok(count > 0, turn);
});

t.test('every peer counts each increment, and counts a repeated key once', { skip }, async (t) => {
  const databaseUrl = await testDatabase(t);
  const counters = await counterPeers(databaseUrl);
  t.teardown(() => counters.close());
  const postgres = await postgresPeers(databaseUrl);
  t.teardown(() => postgres.close());
  await withOwnRedis(async ({ url }) => {
    const redis = redisPeers(url);
    try {
      const { unkeyed, keyed } = counters;
      for (const peer of [unkeyed, redis.incr, postgres.upsert, postgres.limiter]) {
        t.equal(await peer.sum(['likes', 'other']), 0, peer.name);
        t.strictSame([await peer.increment('likes'), await peer.increment('likes')], [1, 2], peer.name);
        t.equal(await peer.increment('other'), 1, peer.name);
        t.equal(await peer.sum(['likes', 'other']), 3, peer.name);
      }
      for (const peer of [keyed, redis.keyed]) {
        await Promise.all([peer.increment('keyed'), peer.increment('keyed')]);
        t.equal(await peer.sum(['keyed']), 2, `${peer.name}: each increment has its own key`);
      }
      const repeat = () => redis.keyed.incrementOnce('once', 'the same');
      t.strictSame([await repeat(), await repeat(), await redis.keyed.sum(['once'])], [1, 1, 1]);
    } finally {
      await redis.close();
    }
  });
});

t.test('Redis is configured to sync each write to disk before it answers', { skip }, async (t) => {
  await withOwnRedis(async ({ url }) => {
    const redis = new Redis(url);
    try {
      t.strictSame(await redis.config('GET', 'appendonly'), ['appendonly', 'yes']);
      t.strictSame(await redis.config('GET', 'appendfsync'), ['appendfsync', 'always']);
    } finally {
      redis.disconnect();
    }
  });
});

t.test('a killed process leaves no Redis running', { skip }, async (t) => {
  const ownRedis = join(CHECKOUT, 'load-tests/benchmark/peers/own-redis.ts');
  const program = `import { withOwnRedis } from ${JSON.stringify(ownRedis)};
    await withOwnRedis(({ url }) => new Promise(() => setInterval(() => console.log(url), 10)));`;
  const TMPDIR = await testFolder(t, 'killed');
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, TMPDIR },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  const { port } = new URL(output.toString().split('\n')[0] ?? '');
  const answers = async () => {
    const socket = connect(Number(port), '127.0.0.1');
    try {
      await once(socket, 'connect');
      return true;
    } finally {
      socket.destroy();
    }
  };
  t.ok(await answers());
  child.kill('SIGKILL');
  await until(async () => !(await answers().catch(() => false)));
});

/** A peer that counts every tenth increment `times` times, and acknowledges it once. */
function wrongPeer(times: number): Peer {
  let asked = 0;
  let count = 0;
  return {
    name: 'wrong',
    increment: async () => {
      await new Promise((next) => setImmediate(next));
      asked += 1;
      return (count += asked % 10 === 0 ? times : 1);
    },
    sum: async () => count,
  };
}

const turnOf = (peer: Peer) =>
  takeTurn(
    {
      load: 'one hot counter',
      peer,
      counters: ['hot'],
      offer: (callers, ms) => inProcess(peer, ['hot'], callers, ms),
    },
    4,
    20,
  );

t.test('a peer that loses, doubles or refuses an increment ends the benchmark', async (t) => {
  t.match(await turnOf(wrongPeer(1)), { peer: 'wrong', callers: 4 });
  await t.rejects(turnOf(wrongPeer(0)), {
    message: /^wrong, one hot counter: \d+ were acknowledged and \d+ counted$/,
  });
  await t.rejects(turnOf(wrongPeer(2)), { message: /were acknowledged and/ });
  const refusing = { ...wrongPeer(1), increment: () => Promise.reject(new Error('not today')) };
  await t.rejects(turnOf(refusing), { message: 'not today' });
});

t.test('without redis-server, the command says how to install it before it measures anything', async (t) => {
  const refused = await runProgram(t, ['load-tests/benchmark/main.ts'], { PATH: '/nowhere' }).ended;
  t.match(refused, {
    code: 1,
    stdout: '',
    stderr: /^benchmark: missing: redis-server; on Debian: apt-get install /,
  });
});

t.test('an interrupted benchmark removes its Redis and its database', { skip }, async (t) => {
  const TMPDIR = await testFolder(t, 'command');
  const { child, ended } = runProgram(t, COMMAND, { TMPDIR });
  await until(async () => (await readdir(TMPDIR)).length > 1);
  child.kill('SIGINT');
  t.match(await ended, { code: 130, stderr: ONLY_PROGRESS });
  t.strictSame(await readdir(TMPDIR), []);
});
