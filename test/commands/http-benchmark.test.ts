import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Fastify from 'fastify';
import t from 'tap';
import type { HttpResult } from '../../load-tests/benchmark/http/http-benchmark.ts';
import { LoadGenerator } from '../../load-tests/benchmark/http/load-generator.ts';
import { httpSubjects } from '../../load-tests/benchmark/http/subjects.ts';
import { check } from '../../load-tests/benchmark/http/workbench.ts';
import { runProgram, testFolder } from '../helper.ts';

t.test('the HTTP benchmark compares, verifies and overloads, and prints the targets', async (t) => {
  const folder = await testFolder(t, 'figures');
  const json = join(folder, 'benchmark.json');
  const short = ['--rounds', '3', '--slice', '50', '--connections', '8'];
  const args = ['load-tests/benchmark/main.ts', '--only', 'http', ...short, '--json', json];
  const { code, stdout, stderr } = await runProgram(t, args).ended;
  t.equal(code, 0, stderr);
  for (const { name } of Object.values(httpSubjects))
    t.match(stdout, new RegExp(`^${name} +[1-9]`, 'm'), name);
  t.match(
    stdout,
    /^group commit ÷ no-op, c = 8 +[\d.]+ +[\d.]+ to [\d.]+ +0\.6 +0\.9 +(MISSED|enough|reached)$/m,
  );
  t.match(stdout, /^answer +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$/m);
  const { http } = JSON.parse(await readFile(json, 'utf8')) as { http: HttpResult };
  const turn = http.rounds[0]?.find(({ subject }) => subject === httpSubjects.hot.name);
  t.ok((turn?.commits ?? 1) < 0.5, 'several increments share a commit');
  t.ok((turn?.walBytes ?? 0) > 1);
  t.equal(http.overload.length, 3);
});

t.test('an increment that is lost or counted twice ends the benchmark', async (t) => {
  t.doesNotThrow(() => check('exact', 10, { 200: 10, 503: 5 }));
  t.doesNotThrow(() => check('a broken connection', 11, { 200: 10, 0: 1 }));
  t.throws(
    () => check('lost', 9, { 200: 10, 0: 1 }),
    /10 were acknowledged, 0 refused, 1 neither, and 9 counted/,
  );
  t.throws(() => check('doubled', 11, { 200: 10, 503: 5 }));
});

t.test('times count from the intended start: a stall delays every request due meanwhile', async (t) => {
  const service = Fastify();
  let asked = 0;
  service.post('/', async () => {
    asked += 1;
    // No request is answered for 300 ms, as when the process is stopped.
    if (asked === 20) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    return {};
  });
  const url = await service.listen({ port: 0, host: '127.0.0.1' });
  t.teardown(() => service.close());
  const generator = new LoadGenerator();
  t.teardown(() => generator.stop());
  const load = { url, paths: ['/'], keyed: false, connections: 4, ms: 600 };
  const arrivals = { perSecond: 400, whenBusy: 'wait' } as const;
  const { arrived, served, answers } = await generator.offer({ ...load, arrivals });
  t.equal(answers[200], arrived, 'every request is answered');
  t.ok(served.max >= 290, `${served.max}`);
  t.ok(served.p90 >= 100, 'the stall delays more than the four requests in flight');
});
