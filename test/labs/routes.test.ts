import Fastify from 'fastify';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { handleErrors } from '../../src/http/error-handler.ts';
import { labs } from '../../src/labs/index.ts';
import { labsRoutes } from '../../src/labs/routes.ts';
import { testApp, testClient, testDatabase, until } from '../helper.ts';
import { leftovers } from './lab-helper.ts';

const databaseUrl = await testDatabase(t);
const client = await testClient(t, databaseUrl);
const app = await testApp(t, {}, databaseUrl);

t.test('GET /labs lists every experiment with its claim', async (t) => {
  const answer = (await app.inject('/labs')).json<{ lab: string; experiments: unknown[] }[]>();
  t.strictSame(
    answer.map(({ lab, experiments }) => [lab, experiments.length]),
    labs.map(({ name, experiments }) => [name, experiments.length]),
  );
});

t.test('GET /labs lists the terms with their meanings, and the anomalies with code and name', async (t) => {
  const answer = (await app.inject('/labs')).json<
    { terms: object[]; experiments: { experiment: string; anomaly?: { expected: object } }[] }[]
  >();
  for (const { terms } of answer) {
    t.ok(terms.length > 0);
    for (const one of terms) t.match(one, { term: /\w/, meaning: /^[A-Z].+\.$/ });
  }
  const tried = answer.flatMap(({ experiments }) => experiments.filter(({ anomaly }) => anomaly));
  t.equal(tried.length, 14);
  t.strictSame(tried.find(({ experiment }) => experiment === 'p4-lost-update')?.anomaly, {
    code: 'P4',
    name: 'lost update',
    meaning: 'two transactions read the same value and each writes a new one based on it',
    expected: {
      'read uncommitted': 'possible',
      'read committed': 'possible',
      'repeatable read': 'prevented',
      serializable: 'prevented',
    },
  });
});

t.test('an experiment answers with its claim, its verdict and its evidence', async (t) => {
  const response = await app.inject({ method: 'POST', url: '/labs/isolation/p4-lost-update' });
  t.match(response, { statusCode: 200, headers: { 'cache-control': 'no-store' } });
  t.match(response.json(), {
    lab: 'isolation',
    experiment: 'p4-lost-update',
    claim: /lost update/,
    holds: true,
    evidence: {
      timeline: [
        { session: 'T1', sql: /^begin/, backend_pid: Number },
        { session: 'T2', sql: /^begin/ },
        { session: 'T1', sql: /^select/, summary: 'reads 10' },
      ],
      figures: {
        cells: {
          serializable: {
            verdict: 'prevented',
            final: [
              { id: 1, value: 11 },
              { id: 2, value: 20 },
            ],
          },
        },
      },
    },
  });
});

t.test('four concurrent callers of an experiment do not affect each other', async (t) => {
  const before = await leftovers(client);
  const url = '/labs/isolation/otv-observed-transaction-vanishes';
  const answers = await Promise.all([1, 2, 3, 4].map(() => app.inject({ method: 'POST', url })));
  for (const answer of answers) t.match(answer.json(), { holds: true });
  const after = await leftovers(client);
  // The service may meanwhile have closed idle connections.
  t.ok(Number(after.connections) <= Number(before.connections), `${Number(after.connections)} connections`);
  t.strictSame({ ...after, connections: 0 }, { ...before, connections: 0 });
});

t.test('an unknown lab or experiment is 404, and a body is refused', async (t) => {
  for (const url of ['/labs/alchemy', '/labs/isolation/gold']) {
    t.match((await app.inject({ method: 'POST', url })).json(), { status: 404, code: 'not_found' });
  }
  const response = await app.inject({
    method: 'POST',
    url: '/labs/isolation',
    payload: { level: 'snapshot' },
  });
  t.match(response.json(), { status: 400, code: 'invalid_request' });
});

t.test('a lab that is not complete in time is answered, and leaves nothing on the server', async (t) => {
  const before = await leftovers(client);
  const hurried = Fastify();
  t.teardown(() => hurried.close());
  handleErrors(hurried);
  const closing = new AbortController().signal;
  await hurried.register(labsRoutes, { config: loadConfig({}), databaseUrl, closing, labMsMax: 100 });
  const answer = await hurried.inject({ method: 'POST', url: '/labs/freeze' });
  t.match(answer, { statusCode: 503, headers: { 'retry-after': '1' } });
  t.match(answer.json(), { code: 'out_of_time', detail: /within 0.1 s/ });
  // The server may still be ending the last transaction.
  await until(async () => (await leftovers(client)).transactions === before.transactions);
  t.match(await leftovers(client), { ...before, connections: Number });
});

t.test('without the demonstrations there are no labs', async (t) => {
  const bare = await testApp(t, { DEMOS: 'false' });
  t.equal((await bare.inject('/labs')).statusCode, 404);
});
