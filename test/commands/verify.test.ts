import { existsSync } from 'node:fs';
import type { Client } from 'pg';
import t, { type Test } from 'tap';
import type { VerificationResult } from '../../src/verify/verification.ts';
import { freePort } from '../../src/embedded-postgres/server.ts';
import { strategies } from '../../src/strategies/index.ts';
import { runProgram, testClient, testDatabase, until } from '../helper.ts';
import { ownServer } from '../own-server.ts';
import { noPgBouncer, pgbouncer } from '../pgbouncer.ts';
import { completePostgres, startPair } from '../standby.ts';
import { POSTGRESQL_15 } from '../test-server.ts';

const verify = (t: Test, args: string[]) => runProgram(t, ['src/verify/main.ts', ...args]);

const schemas = async (client: Client) =>
  (await client.query(`select nspname from pg_namespace where nspname ~ '^(safe_counters_verify|lab_)'`))
    .rowCount;

/** Asserts what must hold of a verification, whatever the server. */
async function verifies(t: Test, databaseUrl: string): Promise<VerificationResult> {
  const { code, stdout, stderr } = await verify(t, [
    databaseUrl,
    '--workers',
    '4',
    '--increments',
    '8',
    '--json',
  ]).ended;
  t.equal(code, 0, stderr || stdout);
  const result = JSON.parse(stdout) as VerificationResult;
  t.strictSame(
    result.rows.filter(({ holds }) => !holds),
    [],
  );
  t.equal(result.rows.length, strategies.length);
  t.strictSame(
    result.experiments.filter(({ holds }) => !holds),
    [],
  );
  t.ok(result.experiments.length >= 50);
  const lagging = result.experiments.find(({ experiment }) => experiment === 'read-your-writes');
  t.match(lagging, { verdict: /^not supported: needs / });
  return result;
}

t.test('every claim holds on the test server, and nothing is left behind', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  await verifies(t, databaseUrl);
  const client = await testClient(t, databaseUrl);
  t.equal(await schemas(client), 0);
  t.equal(
    (await client.query(`select from pg_tables where schemaname !~ '^(pg_|information_schema)'`)).rowCount,
    0,
  );
});

t.test(
  'every claim holds on PostgreSQL 15',
  { skip: !existsSync(POSTGRESQL_15) && `there is no PostgreSQL in ${POSTGRESQL_15}` },
  async (t) => {
    const { databaseUrl } = await ownServer(t, POSTGRESQL_15);
    t.match((await verifies(t, databaseUrl)).server, /^PostgreSQL 15/);
  },
);

t.test('every claim holds through PgBouncer in transaction mode', { skip: noPgBouncer }, async (t) => {
  const direct = await testDatabase(t, { migrated: false });
  const { pathname, port } = new URL(direct);
  const pooler = await pgbouncer(t, Number(port));
  await verifies(t, `postgresql://postgres:test@127.0.0.1:${pooler}${pathname}`);
});

const bin = await completePostgres();

t.test(
  'of several hosts, the primary is verified; a standby alone is refused in one line',
  { skip: bin ? false : 'pg_basebackup is not installed' },
  async (t) => {
    const { primary, standby } = await startPair(t, bin ?? '');
    const hosts = [standby, primary].map((url) => new URL(url).host).join();
    const both = `postgresql://postgres:test@${hosts}/postgres?target_session_attrs=primary`;
    const some = ['--only', 'strategies', '--workers', '4', '--increments', '8'];
    t.match(await verify(t, [both, ...some]).ended, { code: 0, stdout: /all \d+ claims hold/ });
    t.match(await verify(t, [standby]).ended, {
      code: 1,
      stderr: 'verify: the server is a standby, or read-only\n',
    });
  },
);

t.test('a malformed address is refused, and not printed', async (t) => {
  const { code, stderr } = await verify(t, ['postgresql://me:secret@one,,two/db']).ended;
  t.equal(code, 2);
  t.match(stderr, /^DATABASE_URL: host 2 is empty; allowed: postgresql:/);
  t.notMatch(stderr, 'secret');
});

t.test('an interrupted verification removes its schema', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  const { child, ended } = verify(t, [databaseUrl, '--workers', '8', '--increments', '1000']);
  await until(async () => (await schemas(client)) === 1);
  child.kill('SIGINT');
  t.match(await ended, { code: 130 });
  t.equal(await schemas(client), 0);
});

t.test('a claim that does not hold is marked, exit code 1', async (t) => {
  // A single worker loses nothing.
  const { code, stdout } = await verify(t, [
    await testDatabase(t),
    '--only',
    'strategies',
    '--workers',
    '1',
    '--increments',
    '3',
  ]).ended;
  t.equal(code, 1);
  t.match(stdout, /^✗ {2}unsafe +loses +exact \(unexpected\)$/m);
  t.match(stdout, /^✓ {2}atomic +exact +exact$/m);
  t.match(stdout, /^2 of \d+ claims do not hold$/m, 'the strategies that lose and that reject');
});

t.test('a strategy that the server does not support is marked, and every other claim holds', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  await client.query('alter function pg_catalog.pg_advisory_xact_lock(int, int) rename to unknown_here');
  // The migrations need no lock in a temporary schema.
  await client.query('alter function pg_catalog.pg_advisory_xact_lock(bigint) rename to unknown_here');
  const { stdout } = await verify(t, [
    databaseUrl,
    '--only',
    'strategies',
    '--workers',
    '2',
    '--increments',
    '25',
    '--json',
  ]).ended;
  const { rows } = JSON.parse(stdout) as VerificationResult;
  t.match(
    rows.find(({ strategy }) => strategy === 'advisory-lock'),
    { verdict: /^not supported: function pg_advisory_xact_lock.* does not exist$/ },
  );
  t.strictSame(
    rows.filter(({ holds }) => !holds),
    [],
  );
});

t.test(
  'an unreachable server is reported in one clear line, and a bad argument with the usage',
  async (t) => {
    const nowhere = `postgresql://me:secret@127.0.0.1:${await freePort()}/db`;
    const refused = await verify(t, [nowhere]).ended;
    t.match(refused, { code: 1, stderr: /^verify: .*ECONNREFUSED.*\n$/ });
    t.notMatch(refused.stderr, 'secret');
    for (const args of [
      [],
      ['mysql://x'],
      [nowhere, '--increments', '0'],
      [nowhere, '--workers', '2,65'],
      [nowhere, '--x'],
    ]) {
      t.match(await verify(t, args).ended, { code: 2, stderr: /Usage: / }, args.join(' '));
    }
  },
);
