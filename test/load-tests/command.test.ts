import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyReply } from 'fastify';
import Fastify from 'fastify';
import t from 'tap';
import { runProgram, startService, testDatabase } from '../helper.ts';

const folder = await mkdtemp(join(tmpdir(), 'safe-counters-figures-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const json = join(folder, 'figures.json');
const loadTest = (t: Parameters<typeof runProgram>[0], args: string[]) =>
  runProgram(t, ['load-tests/main.ts', '--json', json, ...args]).ended;

t.test('against a running service: every claim holds, exit code 0, a table and the figures', async (t) => {
  const { url } = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const { code, stdout } = await loadTest(t, ['--url', url, '--amount', '4']);
  t.equal(code, 0, stdout);
  t.match(stdout, /^\/2th-plock .* exact$/m);
  t.match(stdout, /^\/2th .* loses, as it must/m);
  const { rows } = JSON.parse(await readFile(json, 'utf8')) as { rows: { name: string; likes: number }[] };
  t.match(
    rows.find(({ name }) => name === '/2th-olock'),
    { calls: 4, acknowledged: 200, likes: 200, lost: 0, holds: true },
  );
});

t.test('against a service that loses what it acknowledged: it says so, exit code 1', async (t) => {
  // A service that answers as ours does, and counts every other increment.
  const liar = Fastify();
  let likes = 0;
  const answer = (reply: FastifyReply, acknowledged: number) =>
    reply.send({ like_result: likes, acknowledged, conflicts: 0, retries: 0 });
  liar.post('/init', (_request, reply) => {
    likes = 0;
    return answer(reply, 0);
  });
  liar.get('/check', (_request, reply) => answer(reply, 0));
  liar.post('/:any', (_request, reply) => {
    likes += 25;
    return answer(reply, 50);
  });
  const url = await liar.listen({ port: 0 });
  t.teardown(() => liar.close());
  const { code, stdout } = await loadTest(t, ['--url', url, '--amount', '4']);
  t.equal(code, 1);
  t.match(stdout, /BROKEN: \/2th-plock claims "exact", but: LOST 100/);
  t.match(stdout, /BROKEN: \/2th-olock-no-retry claims "rejects"/);
});

t.test('a bad option is named with what is allowed, exit code 2', async (t) => {
  for (const [args, message] of [
    [['--amount', '0'], /--amount is "0"; allowed: 1 to 10000/],
    [['--connections', 'many'], /--connections is "many"; allowed: 1 to 256/],
    [['--url', 'localhost'], /--url is "localhost"; allowed/],
    [['--fast'], /'--fast'/],
  ] as const) {
    const { code, stderr } = await loadTest(t, [...args]);
    t.equal(code, 2);
    t.match(stderr, message);
    t.match(stderr, /^Usage: /m);
  }
});
