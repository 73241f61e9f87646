import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';
import t, { type Test } from 'tap';
import { freeze } from '../../src/labs/freeze/index.ts';
import { poolExhaustion } from '../../src/labs/freeze/pool-exhaustion.ts';
import { Laboratory } from '../../src/labs/laboratory.ts';
import { testApp, testClient, testDatabase } from '../helper.ts';
import { holdAndLeaveNothing, labContext, leftovers } from './lab-helper.ts';
import { slow } from '../pace.ts';

interface ExperimentAnswer {
  experiment: string;
  holds: boolean;
  evidence?: { figures: object };
}

t.test('freeze: every claim holds', async (t) => {
  await holdAndLeaveNothing(t, freeze.experiments, await labContext(t));
});

/** A proxy before the database that lets these connections wait, in the order in which they are opened. */
async function slowConnections(t: Test, databaseUrl: string, waitsMs: Record<number, number>) {
  const url = new URL(databaseUrl);
  const { hostname: host, port } = url;
  let opened = 0;
  const proxy = createServer((socket) => {
    opened += 1;
    const forward = () => {
      const server = connect(Number(port), host);
      pipeline(socket, server, socket, () => {});
    };
    setTimeout(forward, waitsMs[opened] ?? 0);
  }).listen(0, '127.0.0.1');
  t.teardown(() => proxy.close());
  await once(proxy, 'listening');
  url.port = String((proxy.address() as { port: number }).port);
  return url.href;
}

t.test('pool-exhaustion holds even if connecting takes longer than its acquire timeout', async (t) => {
  const context = await labContext(t);
  // The first connection is the observer's, the next two are those of the pool.
  const databaseUrl = await slowConnections(t, context.databaseUrl, { 2: 1000, 3: 1000 });
  const laboratory = new Laboratory({ ...context, databaseUrl });
  t.match(await laboratory.run(poolExhaustion, context.signal), { holds: true });
});

t.test(
  'with the smallest pool, the service keeps serving during the experiments and regains all connections',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const client = await testClient(t, databaseUrl);
    const before = await leftovers(client);
    const app = await testApp(t, { POOL_MAX: '4' }, databaseUrl);
    const over = new AbortController();
    const experiments = Promise.all(
      ['frozen', 'timeouts'].map((name) => app.inject({ method: 'POST', url: `/labs/freeze/${name}` })),
    ).finally(() => over.abort());
    const failures: string[] = [];
    for (let i = 0; !over.signal.aborted; i += 1) {
      const path = ['/health/live', '/health/ready', '/check'][i % 3] ?? '';
      const startedAt = performance.now();
      const { statusCode } = await app.inject(path);
      const tookMs = performance.now() - startedAt;
      if (statusCode !== 200 || tookMs > slow(1000)) failures.push(`${path}: ${statusCode} in ${tookMs} ms`);
    }
    t.strictSame(failures, []);
    for (const answer of await experiments) {
      const { experiment, holds, evidence } = answer.json<ExperimentAnswer>();
      t.ok(holds, experiment, { figures: evidence?.figures });
    }
    t.match((await app.inject('/2th-plock')).json(), { acknowledged: 50, lost: 0 });
    t.match(await leftovers(client), { ...before, connections: Number });
  },
);
