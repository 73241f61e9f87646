import * as fc from 'fast-check';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { testApp } from '../helper.ts';
import { ApiDocument, type Operation } from './fuzz/document.ts';
import { HttpClient, type Sent } from './fuzz/http-client.ts';
import { faultOf } from './fuzz/judge.ts';
import { countersOf, CounterModel } from './fuzz/model.ts';
import { requestsTo } from './fuzz/requests.ts';

t.setTimeout(600_000);

/** Requests to each operation, and to those that run for a while. */
const RUNS = 60;
const LONG_RUNS = 15;

/** Of an operation, in milliseconds; those that run for a while take most of it on a busy machine. */
const OPERATION_MS_MAX = 30_000;

/** The same requests again: FUZZ_SEED=… npm run test:commands, with the seed that a failure names. */
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
t.comment(`FUZZ_SEED=${seed}`);

const TOKEN = 'a-token-of-the-tests';

async function newSubject(t: Test, env: NodeJS.ProcessEnv) {
  const log: string[] = [];
  const logger = pino<string>({ level: 'error' }, { write: (line) => void log.push(line) });
  const app = await testApp(t, env, undefined, logger);
  const client = new HttpClient(await app.listen({ port: 0, host: '127.0.0.1' }));
  t.teardown(() => client.close());
  return { client, log, document: await ApiDocument.of(app), model: new CounterModel() };
}

type Subject = Awaited<ReturnType<typeof newSubject>>;

/** Sends requests to an operation until one is answered as it must not be. */
async function fuzzed(t: Test, operation: Operation, subject: Subject, headers: Sent['headers'] = []) {
  const { client, document, model } = subject;
  const { method, path } = operation;
  const isLong = path.startsWith('/races') || (path.startsWith('/labs') && method === 'POST');
  const started = performance.now();
  let failure: object | undefined;
  const property = fc.asyncProperty(requestsTo(operation, document), async (request) => {
    const sent = { ...request, headers: [...headers, ...request.headers] };
    const answer = await client.send(sent);
    const fault = faultOf(document, operation, sent, answer) ?? model.observe(operation, sent, answer);
    if (fault) failure = { fault, sent, answer };
    return !fault;
  });
  const { counterexamplePath, numRuns } = await fc.check(property, {
    seed,
    numRuns: isLong ? LONG_RUNS : RUNS,
    interruptAfterTimeLimit: OPERATION_MS_MAX,
    // What was asked before matters, so a smaller request need not fail: the first one is what is shown.
    endOnFailure: true,
  });
  const ms = Math.round(performance.now() - started);
  t.equal(failure, undefined, `${method} ${path}: ${numRuns} requests in ${ms} ms`, { counterexamplePath });
}

async function fuzzAll(t: Test, subject: Subject, headers: Sent['headers'] = []) {
  for (const operation of subject.document.operations) await fuzzed(t, operation, subject, headers);
  const { client, model, log } = subject;
  t.ok(model.expected.length > 3, 'there are counters by now');
  t.strictSame(await countersOf(client), model.expected, 'every counter is what was acknowledged');
  t.match(await client.send({ method: 'GET', target: '/health/ready', headers: [] }), { status: 200 });
  t.strictSame(log, [], 'nothing is logged as an error');
}

t.test('every answer is documented, and no request is answered with a defect', async (t) => {
  await fuzzAll(t, await newSubject(t, {}));
});

t.test('the same for the counters alone, and for those who may and may not change them', async (t) => {
  const it = await newSubject(t, { DEMOS: 'false', API_TOKEN: TOKEN });
  t.ok(it.document.operations.every(({ path }) => /^\/(counters|increments|health|problems)/.test(path)));
  for (const operation of it.document.operations) await fuzzed(t, operation, it);
  t.strictSame(await countersOf(it.client), [], 'nothing was changed without the token');
  await fuzzAll(t, it, [['authorization', `Bearer ${TOKEN}`]]);
});

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'];

t.test(
  'a method that a path is not documented with is refused, and those that it is are named',
  async (t) => {
    const { client, document } = await newSubject(t, {});
    const paths = Map.groupBy(document.operations, ({ path }) => path);
    for (const [path, operations] of paths) {
      const documented = operations.map(({ method }) => method);
      for (const method of METHODS.filter((one) => !documented.includes(one))) {
        const target = path.replaceAll(/\{\w+\}/g, '1');
        const { status, headers } = await client.send({ method, target, headers: [] });
        const named = String(headers.allow).split(', ');
        t.strictSame(
          { status, named: named.filter((one) => one !== 'HEAD').toSorted() },
          { status: 405, named: documented.toSorted() },
          `${method} ${path}`,
        );
      }
    }
  },
);
