import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { endpoints } from '../../src/posts/endpoints.ts';
import { POSTS, testApp, testClient, testDatabase, until } from '../helper.ts';
import { repetitions, untilItLoses } from '../pace.ts';

interface Answer {
  message: string;
  like_result: number;
  version: number;
  modified_at: string;
  like_before: number;
  version_before: number;
  attempted: number;
  acknowledged: number;
  expected: number;
  lost: number;
  conflicts: number;
  retries: number;
  duration_ms: number;
  workers: { worker: number; backend_pid: number; acknowledged: number; conflicts: number }[];
}

const databaseUrl = await testDatabase(t);
const app = await testApp(t, {}, databaseUrl);

async function call(
  path: string,
  method: 'GET' | 'POST' = 'GET',
  on: FastifyInstance = app,
): Promise<Answer> {
  const response = await on.inject({ method, url: path });
  if (response.statusCode !== 200) throw new Error(`${method} ${path}: ${response.body}`);
  return response.json<Answer>();
}

t.test(
  'every endpoint answers GET and POST with its message and like_result, and forbids caching',
  async (t) => {
    const messages = {
      '/init': '/init : Like count initialized to 0',
      '/check': '/check : Current like count',
      '/inc': '/inc : Concurrent increment completed',
      '/2th': '/2th : Concurrent increment completed',
      '/2th-plock': '/2th-plock : pessimistic lock increment completed',
      '/2th-olock': '/2th-olock : optimistic lock increment completed',
      '/2th-olock-no-retry': '/2th-olock-no-retry : optimistic lock increment without retry completed',
      '/test-versioning': 'Versioning test completed',
    };
    for (const [path, message] of Object.entries(messages)) {
      for (const method of ['GET', 'POST'] as const) {
        const response = await app.inject({ method, url: path });
        t.match(response, { statusCode: 200, headers: { 'cache-control': 'no-store' } }, `${method} ${path}`);
        t.match(response.json(), {
          message,
          like_result: Number,
          version: Number,
          modified_at: /^\d{4}-.*Z$/,
        });
      }
    }
  },
);

t.test('/init followed by /inc gives 25, and /check reads 25', async (t) => {
  t.equal((await call('/init')).like_result, 0);
  t.match(await call('/inc'), { like_before: 0, like_result: 25, attempted: 25, acknowledged: 25, lost: 0 });
  t.equal((await call('/check')).like_result, 25);
});

t.test('/2th loses likes, and each worker has its own backend', async (t) => {
  const answer = await untilItLoses(
    async () => {
      await call('/init');
      return call('/2th');
    },
    ({ like_result: likes }) => likes < 50,
  );
  t.equal(answer.acknowledged, 50);
  t.ok(answer.like_result < 50, `${answer.like_result} of 50`);
  t.equal(answer.lost, 50 - answer.like_result);
  t.equal(new Set(answer.workers.map((worker) => worker.backend_pid)).size, 2);
});

t.test('/2th-plock and /2th-olock give 50 every time', async (t) => {
  for (const path of ['/2th-plock', '/2th-olock']) {
    for (let run = 1; run <= repetitions(5, 15); run += 1) {
      await call('/init');
      const answer = await call(path);
      if (answer.like_result !== 50 || answer.lost !== 0)
        t.match(answer, { like_result: 50, lost: 0 }, `run ${run}`);
    }
    t.pass(path);
  }
});

t.test(
  'with 8 workers the safe endpoints are exact, and the version grows by one for each increment',
  async (t) => {
    for (const path of ['/2th-plock', '/2th-olock']) {
      await call('/init');
      const answer = await call(`${path}?workers=8`);
      t.match(answer, { like_result: 200, acknowledged: 200, lost: 0 }, path);
      t.equal(answer.version - answer.version_before, 200);
      t.equal(new Set(answer.workers.map((worker) => worker.backend_pid)).size, 8);
    }
  },
);

t.test('workers beyond the number of connections wait and finish', async (t) => {
  await call('/init');
  const answer = await call('/2th-plock?workers=32&increments=5');
  t.match(answer, { like_result: 160, acknowledged: 160, lost: 0 });
  t.equal(answer.workers.length, 32);
});

t.test('/2th-olock-no-retry gives 50 minus its conflicts and loses nothing', async (t) => {
  const runs = repetitions(4, 10);
  let conflicts = 0;
  for (let run = 1; run <= runs; run += 1) {
    await call('/init');
    const answer = await call('/2th-olock-no-retry');
    t.match(answer, {
      like_result: 50 - answer.conflicts,
      acknowledged: 50 - answer.conflicts,
      lost: 0,
      retries: 0,
    });
    conflicts += answer.conflicts;
  }
  t.ok(conflicts > 0, `${conflicts} conflicts in ${runs} runs`);
});

t.test('/test-versioning adds one to like and version', async (t) => {
  const answer = await call('/test-versioning');
  t.equal(answer.like_result, answer.like_before + 1);
  t.equal(answer.version, answer.version_before + 1);
});

t.test('15 concurrent calls of each safe endpoint leave exactly 15 × 50', async (t) => {
  for (const path of ['/2th-plock', '/2th-olock']) {
    await call('/init');
    const answers = await Promise.all(Array.from({ length: 15 }, () => call(path)));
    t.equal(answers.filter((answer) => answer.lost === 0 && answer.acknowledged === 50).length, 15, path);
    t.equal((await call('/check')).like_result, 15 * 50, path);
  }
});

t.test('concurrent calls of /inc lose likes, although each has its own session', async (t) => {
  const race = async () => {
    await call('/init');
    const answers = await Promise.all(Array.from({ length: 8 }, () => call('/inc')));
    t.equal(
      answers.reduce((sum, answer) => sum + answer.acknowledged, 0),
      200,
    );
    return (await call('/check')).like_result;
  };
  const likes = await untilItLoses(race, (count) => count < 200);
  t.ok(likes < 200, `${likes} of 200`);
});

t.test('concurrent first calls on an empty database all find the post', async (t) => {
  const client = await testClient(t, databaseUrl);
  for (const path of ['/check', '/init', '/2th-plock?increments=1', '/2th-olock?increments=1']) {
    await client.query(`delete from ${POSTS}`);
    const answers = await Promise.all(Array.from({ length: 10 }, () => call(path)));
    t.equal(answers.length, 10, path);
  }
  const { rows } = await client.query(`select pk from ${POSTS}`);
  t.strictSame(rows, [{ pk: 1 }]);
});

t.test('/init increments the version, so an optimistic increment in progress is refused', async (t) => {
  const before = await call('/check');
  t.equal((await call('/init')).version, before.version + 1);
});

t.test('the safe endpoints are exact at stronger isolation levels, too', async (t) => {
  for (const level of ['repeatable read', 'SERIALIZABLE']) {
    const strict = await testApp(t, { ISOLATION_LEVEL: level });
    for (const path of ['/2th-plock', '/2th-olock']) {
      await call('/init', 'POST', strict);
      t.match(await call(path, 'POST', strict), { like_result: 50, lost: 0 }, `${path} at ${level}`);
    }
  }
});

t.test('a client that disconnects stops its increments and frees their connections', async (t) => {
  const own = await testApp(t);
  const url = await own.listen({ port: 0 });
  const controller = new AbortController();
  const call10k = fetch(`${url}/2th-plock?workers=10&increments=1000`, { signal: controller.signal });
  const likes = async () => (await call('/check', 'GET', own)).like_result;
  await until(async () => (await likes()) >= 20);
  controller.abort();
  await t.rejects(call10k, { name: 'AbortError' });
  let before = -1;
  for (let now = await likes(); now !== before; now = await likes()) {
    before = now;
    t.match(await call('/2th-olock?increments=1', 'GET', own), { acknowledged: 2 });
    before += 2;
  }
  t.ok(before < 9000, `stopped at ${before} of 10000`);
});

t.test('every endpoint of the table is served', async (t) => {
  t.strictSame(
    endpoints.map((endpoint) => endpoint.path).filter((url) => !app.hasRoute({ method: 'POST', url })),
    [],
  );
});
