import { spawn } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { variables } from '../src/config.ts';
import { freePort } from '../src/embedded-postgres/server.ts';
import {
  CHECKOUT,
  getJson,
  POSTS,
  runProgram,
  startService,
  testClient,
  testDatabase,
  testFolder,
} from './helper.ts';
import { DEMOS_SCHEMA } from './test-server.ts';

t.test('a start that fails is reported in one clear line, exit code 1', async (t) => {
  const databaseUrl = await testDatabase(t);
  const given = new URL(databaseUrl);
  const port = await freePort();
  const wrongPassword = databaseUrl.replace(/:[^:@]+@/, ':hunter2@');
  const taken = await startService(t, { DATABASE_URL: databaseUrl });
  const cases = [
    [{ PORT: 'x' }, /^PORT is "x"; allowed: .*$/],
    [
      { DATABASE_URL: `postgresql://me:hunter2@127.0.0.1:${port}/db` },
      /^cannot use .* "me" .*ECONNREFUSED.*$/,
    ],
    [{ DATABASE_URL: wrongPassword }, /^cannot use .*password authentication failed.*$/],
    [
      { DATABASE_URL: databaseUrl.replace(given.pathname, '/missing') },
      /^cannot use .*"missing" does not exist$/,
    ],
    [{ DATABASE_URL: 'postgresql://nowhere.invalid/db' }, /^cannot use .*(ENOTFOUND|EAI_AGAIN).*$/],
    [{ DATABASE_URL: databaseUrl, PORT: new URL(taken.url).port }, /^cannot listen .*EADDRINUSE.*$/],
  ] as const;
  await Promise.all(
    cases.map(async ([env, line]) => {
      const { code, stderr } = await runProgram(t, ['src/server.ts'], { PORT: '0', ...env }).ended;
      t.equal(code, 1, stderr);
      t.match(stderr.trimEnd(), line);
      t.notMatch(stderr, 'hunter2');
    }),
  );
});

t.test('three services that start at the same time on an empty database all become ready', async (t) => {
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const services = await Promise.all([1, 2, 3].map(() => startService(t, { DATABASE_URL })));
  const answers = await Promise.all(services.map(({ url }) => getJson(`${url}/2th-plock`)));
  t.strictSame(
    answers.map((answer) => answer.status),
    [200, 200, 200],
  );
  const client = await testClient(t, DATABASE_URL);
  const { rows } = await client.query(
    `select "like", (select count(*) = count(distinct name) as once from ${DEMOS_SCHEMA}.mikro_orm_migrations)
     from ${POSTS}`,
  );
  t.match(rows, [{ like: 150, once: true }]);
});

t.test('a service that cannot listen does not migrate the database', async (t) => {
  const taken = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const { port } = new URL(taken.url);
  const { code, stderr } = await runProgram(t, ['src/server.ts'], { DATABASE_URL, PORT: port }).ended;
  t.equal(code, 1);
  t.match(stderr, /^cannot listen .*EADDRINUSE/);
  const client = await testClient(t, DATABASE_URL);
  t.equal(
    (await client.query(`select from pg_tables where schemaname !~ '^(pg_|information_schema)'`)).rowCount,
    0,
  );
});

t.test('--help describes the service and its variables; any other argument is refused', async (t) => {
  const help = await runProgram(t, ['src/server.ts', '--help']).ended;
  t.match(help, { code: 0, stderr: '' });
  for (const { name, default: value, description } of variables) {
    t.ok(help.stdout.includes(`  ${name}${value === undefined ? '' : ` (${value})`}\n`), name);
    t.ok(help.stdout.includes(description), name);
  }
  const wrong = await runProgram(t, ['src/server.ts', '--port', '80']).ended;
  t.match(wrong, { code: 1, stderr: /--port 80; see --help/ });
});

t.test('without its packages, the service says how to install them', async (t) => {
  const folder = await testFolder(t, 'bare');
  for (const path of ['src', 'package.json'])
    await cp(join(CHECKOUT, path), join(folder, path), { recursive: true });
  for (const program of ['src/start.js', 'src/server.ts']) {
    const child = spawn(process.execPath, [join(folder, program)], { stdio: ['ignore', 'ignore', 'pipe'] });
    t.match(await text(child.stderr), /run `npm ci` first/, program);
  }
});

t.test(
  'a .env file is read from its first line, with or without a byte order mark; UTF-16 is refused',
  async (t) => {
    const folder = await testFolder(t, 'env');
    const run = async (content: Buffer | string) => {
      await writeFile(join(folder, '.env'), content);
      const child = spawn(process.execPath, [join(CHECKOUT, 'src/server.ts')], {
        cwd: folder,
        env: { PATH: process.env.PATH },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      t.teardown(() => void child.kill('SIGKILL'));
      return text(child.stderr);
    };
    const lines = 'PORT=x\nDEMOS=y\n';
    t.match(await run(lines), /^PORT is "x".*\nDEMOS is "y"/);
    t.match(await run(`\uFEFF${lines}`), /^PORT is "x".*\nDEMOS is "y"/);
    t.match(await run(Buffer.from(`\uFEFF${lines}`, 'utf16le')), /^\.env is not text in UTF-8/);
  },
);
