import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { digestOf } from '../../src/http/caller.ts';
import { testApp, testFolder } from '../helper.ts';
import { ApiDocument, type Operation } from './fuzz/document.ts';
import { HttpClient, type Sent } from './fuzz/http-client.ts';
import { faultOf } from './fuzz/judge.ts';
import { countersOf, CounterModel } from './fuzz/model.ts';
import { exampleOf, requestsTo } from './fuzz/requests.ts';

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

/** Operations whose answers take a while: a race, an experiment, the next look at a counter. */
const isLong = ({ method, path }: Operation): boolean =>
  path.startsWith('/races') || path.endsWith('/events') || (path.startsWith('/labs/') && method === 'POST');

const NOTHING = { failed: false, failure: undefined, errorInstance: null };

/** Sends requests to an operation until one is answered as it must not be. @returns how many were taken, and refused */
async function fuzzed(t: Test, operation: Operation, subject: Subject, headers: Sent['headers'] = []) {
  const { client, document, model } = subject;
  const { method, path } = operation;
  const statuses: Record<number, number> = {};
  const started = performance.now();
  let failure: object | undefined;
  const property = fc.asyncProperty(requestsTo(operation, document), async (request) => {
    // Not by fast-check's own limit, which would not wait for the answer that the model must know of.
    if (performance.now() - started > OPERATION_MS_MAX) return true;
    const sent = { ...request, headers: [...headers, ...request.headers] };
    const answer = await client.send(sent);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    const fault = faultOf(document, operation, sent, answer) ?? model.observe(operation, sent, answer);
    if (fault) failure = { fault, sent, answer };
    return !fault;
  });
  // What was asked before matters, so a smaller request need not fail: the first one is what is shown.
  const { failed, errorInstance } = await fc.check(property, {
    seed,
    numRuns: isLong(operation) ? LONG_RUNS : RUNS,
    examples: [[exampleOf(operation)]],
    endOnFailure: true,
  });
  const seen = Object.entries(statuses).map(([status, times]) => `${times} × ${status}`);
  t.strictSame({ failed, failure, errorInstance }, NOTHING, `${method} ${path}: ${seen.join(', ')}`);
  const count = (kind: string) =>
    Object.entries(statuses).reduce((sum, [status, times]) => sum + (status.startsWith(kind) ? times : 0), 0);
  return { taken: count('2'), refused: count('4') };
}

async function fuzzAll(t: Test, subject: Subject, headers: Sent['headers'] = []) {
  const sum = { taken: 0, refused: 0 };
  for (const operation of subject.document.operations) {
    const { taken, refused } = await fuzzed(t, operation, subject, headers);
    sum.taken += taken;
    sum.refused += refused;
  }
  // Otherwise little was tried but what is refused at the door, or what everybody sends.
  const least = (sum.taken + sum.refused) / 5;
  t.ok(sum.taken > least && sum.refused > least, `${sum.taken} were taken, ${sum.refused} refused`);
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

t.test('the same for tokens that may change some counters, and so many a second', async (t) => {
  const path = join(await testFolder(t, 'fuzz'), 'tokens.json');
  const tokens = [
    { name: 'narrow', prefix: 'in no example:', perSecond: 1000 },
    { name: 'slow', prefix: '', perSecond: 5 },
  ];
  const entries = tokens.map((one) => ({ ...one, sha256: digestOf(one.name) }));
  await writeFile(path, JSON.stringify(entries));
  const it = await newSubject(t, { DEMOS: 'false', API_TOKENS_FILE: path });
  for (const { name } of tokens) {
    for (const operation of it.document.operations)
      await fuzzed(t, operation, it, [['authorization', `Bearer ${name}`]]);
    t.strictSame(await countersOf(it.client), it.model.expected, 'every counter is what was acknowledged');
  }
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
