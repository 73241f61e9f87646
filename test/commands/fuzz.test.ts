import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { digestOf } from '../../src/http/caller.ts';
import { testApp, testFolder, until } from '../helper.ts';
import { fc, seed } from '../property.ts';
import { ApiDocument, type Operation } from './fuzz/document.ts';
import { HttpClient, type Sent } from './fuzz/http-client.ts';
import { faultOf } from './fuzz/judge.ts';
import { countersOf, CounterModel } from './fuzz/model.ts';
import { exampleOf, requestsTo } from './fuzz/requests.ts';

t.setTimeout(600_000);

/** The number of requests to each operation, and to each one that takes long; FUZZ_RUNS=… sends more. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 60);
const LONG_RUNS = Math.ceil(RUNS / 4);

/** The time limit of an operation, in milliseconds; those that take long need most of it on a busy machine. */
const OPERATION_MS_MAX = 30_000;

t.comment(`TEST_SEED=${seed}`);

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

/** Whether the answers of an operation take long: a race, an experiment, the events of a counter. */
const isLong = ({ method, path }: Operation): boolean =>
  path.startsWith('/races') || path.endsWith('/events') || (path.startsWith('/labs/') && method === 'POST');

const NOTHING = { failed: false, failure: undefined, errorInstance: null };

/** Sends requests to an operation until an answer is wrong. @returns how many were accepted, and refused */
async function fuzzed(t: Test, operation: Operation, subject: Subject, headers: Sent['headers'] = []) {
  const { client, document, model } = subject;
  const { method, path } = operation;
  const statuses: Record<number, number> = {};
  const started = performance.now();
  let failure: object | undefined;
  const property = fc.asyncProperty(requestsTo(operation, document), async (request) => {
    // Instead of fast-check's own limit, which would not wait for the answer that the model needs.
    if (performance.now() - started > OPERATION_MS_MAX) return true;
    const sent = { ...request, headers: [...headers, ...request.headers] };
    const answer = await client.send(sent);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    const fault = faultOf(document, operation, sent, answer) ?? model.observe(operation, sent, answer);
    if (fault) failure = { fault, sent, answer };
    return !fault;
  });
  // The result depends on earlier requests, so a shrunk one need not fail: the first failure is reported.
  const { failed, errorInstance } = await fc.check(property, {
    numRuns: isLong(operation) ? LONG_RUNS : RUNS,
    examples: [[exampleOf(operation)]],
    endOnFailure: true,
  });
  const seen = Object.entries(statuses).map(([status, times]) => `${times} × ${status}`);
  t.strictSame({ failed, failure, errorInstance }, NOTHING, `${method} ${path}: ${seen.join(', ')}`);
  const count = (kind: string) =>
    Object.entries(statuses).reduce((sum, [status, times]) => sum + (status.startsWith(kind) ? times : 0), 0);
  return { accepted: count('2'), refused: count('4') };
}

async function fuzzAll(t: Test, subject: Subject, headers: Sent['headers'] = []) {
  const sum = { accepted: 0, refused: 0 };
  for (const operation of subject.document.operations) {
    const { accepted, refused } = await fuzzed(t, operation, subject, headers);
    sum.accepted += accepted;
    sum.refused += refused;
  }
  // Otherwise nearly all requests were refused early, or nearly all were ordinary.
  const least = (sum.accepted + sum.refused) / 5;
  t.ok(sum.accepted > least && sum.refused > least, `${sum.accepted} were accepted, ${sum.refused} refused`);
  const { client, model, log } = subject;
  t.ok(model.expected.length > 1, 'some counters exist');
  t.strictSame(await countersOf(client), model.expected, 'every counter has the acknowledged value');
  const ready: Sent = { method: 'GET', target: '/health/ready', headers: [] };
  await until(async () => (await client.send(ready)).status === 200);
  t.strictSame(log, [], 'nothing is logged as an error');
}

t.test('every answer is documented, and no request causes an internal error', async (t) => {
  await fuzzAll(t, await newSubject(t, {}));
});

t.test('the same holds for the counters alone, without and with the token', async (t) => {
  const subject = await newSubject(t, { DEMOS: 'false', API_TOKEN: TOKEN });
  t.ok(
    subject.document.operations.every(({ path }) => /^\/(counters|increments|health|problems)/.test(path)),
  );
  for (const operation of subject.document.operations) await fuzzed(t, operation, subject);
  t.strictSame(await countersOf(subject.client), [], 'nothing was changed without the token');
  await fuzzAll(t, subject, [['authorization', `Bearer ${TOKEN}`]]);
});

t.test('the same holds for tokens with a prefix and with a quota', async (t) => {
  const path = join(await testFolder(t, 'fuzz'), 'tokens.json');
  const tokens = [
    { name: 'narrow', prefix: 'in no example:', perSecond: 1000 },
    { name: 'slow', prefix: '', perSecond: 5 },
  ];
  const entries = tokens.map((one) => ({ ...one, sha256: digestOf(one.name) }));
  await writeFile(path, JSON.stringify(entries));
  const subject = await newSubject(t, { DEMOS: 'false', API_TOKENS_FILE: path });
  for (const { name } of tokens) {
    for (const operation of subject.document.operations)
      await fuzzed(t, operation, subject, [['authorization', `Bearer ${name}`]]);
    t.strictSame(
      await countersOf(subject.client),
      subject.model.expected,
      'every counter has the acknowledged value',
    );
  }
});

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'];

t.test(
  'an undocumented method is refused, and the answer names the documented methods of the path',
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
