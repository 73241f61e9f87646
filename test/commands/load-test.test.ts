import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyReply } from 'fastify';
import Fastify from 'fastify';
import t from 'tap';
import { freePort } from '../../src/embedded-postgres/server.ts';
import { strategies } from '../../src/strategies/index.ts';
import { ONLY_PROGRESS, runProgram, startService, testDatabase, testFolder } from '../helper.ts';

const folder = await testFolder(t, 'figures');
const json = join(folder, 'results.json');
const SHORT = ['--amount', '4', '--requests', '24', '--contention', '1,8'];
const loadTest = (t: Parameters<typeof runProgram>[0], args: string[]) =>
  runProgram(t, ['load-tests/load-test/main.ts', '--out', folder, ...args]).ended;

t.test('against a running service, every claim holds: exit code 0, a table and the figures', async (t) => {
  const { url } = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const { code, stdout } = await loadTest(t, ['--url', url, ...SHORT]);
  t.equal(code, 0, stdout);
  t.match(stdout, /^\/2th-plock .* exact$/m);
  t.match(stdout, /^\/2th .* lost \d+ \(expected\)$/m);
  t.match(stdout, /^group-commit .* exact$/m);
  const results = JSON.parse(await readFile(json, 'utf8')) as Record<
    'endpoints' | 'strategies',
    { name: string }[]
  >;
  t.equal(results.strategies.length, 2 * strategies.length);
  t.match(
    results.endpoints.find(({ name }) => name === '/2th-olock'),
    { calls: 4, acknowledged: 200, likes: 200, lost: 0, holds: true },
  );
});

t.test('a service that loses acknowledged increments is reported, exit code 1', async (t) => {
  // Answers like the service, but counts every other increment only.
  const lossy = Fastify();
  let likes = 0;
  const answer = (reply: FastifyReply, acknowledged: number) =>
    reply.send({ like_result: likes, acknowledged, conflicts: 0, retries: 0 });
  lossy.post('/init', (_request, reply) => {
    likes = 0;
    return answer(reply, 0);
  });
  lossy.get('/check', (_request, reply) => answer(reply, 0));
  lossy.post('/strategies/:name/posts', (_request, reply) => {
    likes = 0;
    return reply.send({ pk: 1 });
  });
  lossy.get('/strategies/:name/posts/1', (_request, reply) => reply.send({ likes: Math.floor(likes) }));
  lossy.post('/strategies/:name/posts/1/increments', (_request, reply) => {
    likes += 0.5;
    return reply.send({ like: 1, conflicts: 0 });
  });
  lossy.post('/:any', (_request, reply) => {
    likes += 25;
    return answer(reply, 50);
  });
  const url = await lossy.listen({ port: 0 });
  t.teardown(() => lossy.close());
  const { code, stdout } = await loadTest(t, ['--url', url, ...SHORT]);
  t.equal(code, 1);
  t.match(stdout, /BROKEN: \/2th-plock \(4 at once\) claims "exact", but: LOST 100/);
  t.match(stdout, /BROKEN: \/2th-olock-no-retry .* claims "rejects"/);
  t.match(stdout, /BROKEN: atomic \(8 at once\) claims "exact", but: LOST 12/);
});

t.test('an interrupted load test does not wait for the calls in flight', async (t) => {
  const asked = Promise.withResolvers<void>();
  const slow = Fastify({ forceCloseConnections: true });
  slow.post('/strategies/:name/posts', async () => ({ pk: 1 }));
  slow.post('/strategies/:name/posts/1/increments', () => {
    asked.resolve();
    return new Promise(() => {});
  });
  const url = await slow.listen({ port: 0 });
  t.teardown(() => slow.close());
  const { child, ended } = runProgram(t, ['load-tests/load-test/main.ts', '--url', url]);
  await asked.promise;
  child.kill('SIGINT');
  t.match(await ended, { code: 130, stdout: '', stderr: ONLY_PROGRESS });
});

t.test('an unreachable service is reported in one clear line, exit code 1', async (t) => {
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const refused = await loadTest(t, ['--url', nowhere]);
  t.match(refused, { code: 1, stderr: /^load-test: fetch failed: connect ECONNREFUSED .*\n$/ });
});

t.test('an invalid option is refused, with what is allowed; the exit code is 2', async (t) => {
  for (const [args, message] of [
    [['--amount', '0'], /--amount is "0"; allowed: 1 to 10000/],
    [['--connections', 'many'], /--connections is "many"; allowed: 1 to 256/],
    [['--contention', '1,many'], /--contention is "1,many"; allowed: 1 to 256, with commas in between/],
    [['--url', 'localhost'], /--url is "localhost"; allowed/],
    [['--fast'], /'--fast'/],
  ] as const) {
    const { code, stderr } = await loadTest(t, [...args]);
    t.equal(code, 2);
    t.match(stderr, message);
    t.match(stderr, /^Usage: /m);
  }
});

t.test('the report is a single file that loads no other', async (t) => {
  const html = await readFile(join(folder, 'report.html'), 'utf8');
  t.match(html, /<svg /);
  t.notMatch(html, /<script|<link|(src|href)="(?!#)|url\((?!#)|@import/);
  t.match(await readFile(join(folder, 'throughput.svg'), 'utf8'), /^<svg role="img" aria-label="[^"]+" /);
});
