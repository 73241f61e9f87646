import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { migrateAll } from '../../src/migrations.ts';
import { probeSessions } from '../../src/database/settings.ts';
import { silent, testApp, testClient, testDatabase, until, whenOk } from '../helper.ts';

/** A service without the demonstrations, which is ready. */
async function setUp(t: Test) {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
  await whenOk(app);
  return { databaseUrl, client, app };
}

/** The service is not ready for this reason, and lives. */
async function assertNotReady(t: Test, app: FastifyInstance, reason: RegExp): Promise<void> {
  const answer = await until(async () => {
    const { statusCode, body } = await app.inject('/health/ready');
    // A slow database is another reason.
    return statusCode !== 200 && !/did not answer/.test(body) && { statusCode, ...JSON.parse(body) };
  });
  t.match(answer, { statusCode: 503, code: 'database_unavailable' });
  t.match(answer.detail, /tables of the counters cannot be used/);
  t.match(answer.detail, reason);
  t.equal((await app.inject('/health/live')).statusCode, 200);
}

const increment = (app: FastifyInstance) =>
  app.inject({ method: 'POST', url: '/counters/likes/increments', headers: { 'idempotency-key': 'k' } });

/** What `npm run migrate` does. */
async function migrate(databaseUrl: string): Promise<void> {
  const config = loadConfig({ DEMOS: 'false' });
  await migrateAll(databaseUrl, config, silent, await probeSessions(databaseUrl, config, () => {}));
}

for (const table of ['counters', 'idempotency_keys', 'writers', 'migrations'])
  t.test(
    `a service without its table of ${table} is not ready, until the tables are created again`,
    async (t) => {
      const { databaseUrl, client, app } = await setUp(t);
      await client.query(`drop table safe_counters.${table} cascade`);
      await assertNotReady(t, app, new RegExp(`"safe_counters.${table}" does not exist`));
      await client.query('drop schema safe_counters cascade');
      await assertNotReady(t, app, /does not exist/);
      await migrate(databaseUrl);
      await whenOk(app);
      t.match((await increment(app)).json(), { value: 1 });
    },
  );

t.test('a service whose tables lack a column is not ready, until they have it', async (t) => {
  const { client, app } = await setUp(t);
  const columns = {
    counters: ['period', 'name', 'starts_at', 'value', 'min', 'max', 'exists_until'],
    idempotency_keys: ['key', 'request', 'answer', 'expires_at'],
    writers: ['id', 'seq', 'values', 'written_at'],
  };
  for (const [table, names] of Object.entries(columns))
    for (const name of names) {
      const rename = (from: string, to: string) =>
        client.query(`alter table safe_counters.${table} rename column "${from}" to "${to}"`);
      await rename(name, 'renamed');
      await assertNotReady(t, app, new RegExp(`column "${name}" does not exist`));
      await rename('renamed', name);
      await whenOk(app);
    }
  t.match((await increment(app)).json(), { value: 1 });
});

t.test('a service whose tables have no version, or an earlier one, is not ready', async (t) => {
  const { client, app } = await setUp(t);
  for (const earlier of [
    'delete from safe_counters.migrations',
    'insert into safe_counters.migrations values (0)',
  ]) {
    await client.query(earlier);
    await assertNotReady(t, app, /they have version 0, not 1/);
  }
  // During an upgrade, replicas of this version are still running.
  for (const version of [1, 2]) {
    await client.query('insert into safe_counters.migrations values ($1)', [version]);
    await whenOk(app);
  }
});

t.test('the risk that another role may create objects in the schema is listed while it exists', async (t) => {
  const { databaseUrl, client, app } = await setUp(t);
  const risks = async () =>
    (await whenOk(app)).json<{ risks: { risk: string }[] }>().risks.map(({ risk }) => risk);
  const role = `${new URL(databaseUrl).pathname.slice(1)}_other`;
  await client.query(`create role ${role}`);
  t.teardown(() => client.query(`drop owned by ${role}; drop role ${role}`));
  await client.query(`grant usage on schema safe_counters to ${role}`);
  t.notOk((await risks()).includes('foreign_create'));
  for (const grantee of [role, 'public']) {
    await client.query(`grant create on schema safe_counters to ${grantee}`);
    t.ok((await risks()).includes('foreign_create'), grantee);
    await client.query(`revoke create on schema safe_counters from ${grantee}`);
    t.notOk((await risks()).includes('foreign_create'), grantee);
  }
});
