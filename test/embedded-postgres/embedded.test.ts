import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { runningServer } from '../../src/embedded-postgres/server.ts';
import { getJson, runProgram, type Service, startService, testFolder, until } from '../helper.ts';
import { repetitions } from '../pace.ts';

const likes = async (url: string) => (await getJson<{ like_result: number }>(`${url}/check`)).like_result;

async function serverPid(dataDir: string): Promise<number> {
  const server = await runningServer(join(dataDir, 'cluster'));
  if (!server) throw new Error('no server');
  return server.pid;
}

t.test('the embedded PostgreSQL', async (t) => {
  const folder = await testFolder(t, 'data');
  const env = { DATA_DIR: join(folder, 'data') };
  const stop = async ({ child, ended }: Service) => {
    child.kill('SIGTERM');
    t.match(await ended, { code: 0 });
  };

  await t.test('starts in an empty folder, and keeps its data across a restart', async (t) => {
    const start = performance.now();
    const first = await startService(t, env);
    t.comment(`first start: ${Math.round(performance.now() - start)} ms`);
    await getJson(`${first.url}/inc`);
    await stop(first);
    const again = performance.now();
    const second = await startService(t, env);
    t.comment(`later start: ${Math.round(performance.now() - again)} ms`);
    t.equal(await likes(second.url), 25);
    await stop(second);
  });

  await t.test(
    'a second service on the same folder is refused, and the first one keeps serving',
    async (t) => {
      const first = await startService(t, env);
      const { code, stderr } = await runProgram(t, ['src/server.ts'], { ...env, PORT: '0' }).ended;
      t.equal(code, 1);
      t.match(stderr, new RegExp(`^the data folder .* is in use by .* process ${first.child.pid}\\).*\n$`));
      t.equal(await likes(first.url), 25);
      await stop(first);
    },
  );

  await t.test('of two services that start together on one folder, one is refused', async (t) => {
    const both = [1, 2].map(() => runProgram(t, ['src/server.ts'], { ...env, PORT: '0' }));
    const refused = await Promise.race(both.map(async ({ ended }, i) => ({ i, ...(await ended) })));
    t.match(refused, { code: 1, stderr: /is in use by/ });
    const other = both[1 - refused.i];
    other?.child.kill('SIGTERM');
    t.match(await other?.ended, { code: 0 });
  });

  await t.test('a killed service leaves PostgreSQL running, and the next one takes it over', async (t) => {
    const killed = await startService(t, env);
    await getJson(`${killed.url}/inc`);
    const pid = await serverPid(env.DATA_DIR);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const next = await startService(t, env);
    t.equal(await serverPid(env.DATA_DIR), pid, 'the same PostgreSQL process');
    t.equal(await likes(next.url), 50);
    await stop(next);
    t.equal(
      await runningServer(join(env.DATA_DIR, 'cluster')),
      undefined,
      'PostgreSQL stops with its service',
    );
  });

  await t.test('a killed PostgreSQL is started again, and has every acknowledged increment', async (t) => {
    const service = await startService(t, env);
    await getJson(`${service.url}/inc`);
    process.kill(await serverPid(env.DATA_DIR), 'SIGKILL');
    await until(async () => (await getJson(`${service.url}/health/ready`)).status === 503);
    await until(async () => (await getJson(`${service.url}/health/ready`)).status === 200);
    t.equal(await likes(service.url), 75);
    await stop(service);
  });

  await t.test('a service that starts while the previous one is closing waits for the folder', async (t) => {
    const restarts = repetitions(1, 3);
    let service = await startService(t, env);
    for (let restart = 1; restart <= restarts; restart += 1) {
      service.child.kill('SIGTERM');
      const next = await startService(t, env);
      t.match(await service.ended, { code: 0 });
      t.equal(await likes(next.url), 75, `restart ${restart}`);
      service = next;
    }
    await stop(service);
  });

  await t.test(
    'data of another major version ends the start with one line that says what to do, and is unchanged',
    async (t) => {
      const version = join(env.DATA_DIR, 'cluster', 'PG_VERSION');
      const own = await readFile(version, 'utf8');
      await writeFile(version, '14\n');
      const { code, stderr } = await runProgram(t, ['src/server.ts'], { ...env, PORT: '0' }).ended;
      await writeFile(version, own);
      t.equal(code, 1);
      t.match(
        stderr,
        /^the database in \S+cluster was made by PostgreSQL 14 and cannot be read by PostgreSQL 18; nothing was changed\. .*docs\/backup\.md .*DATA_DIR to another folder\n$/,
      );
      const service = await startService(t, env);
      t.ok((await likes(service.url)) > 0, 'the data is unchanged');
      await stop(service);
    },
  );
});
