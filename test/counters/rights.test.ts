import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { StartupError } from '../../src/errors/startup-error.ts';
import { createCounters } from '../../src/library/index.ts';
import { testApp, testClient, testDatabase, whenOk } from '../helper.ts';
import { ANY, countersOf, NEW } from './http.ts';

/** The rights that docs/operation.md names. */
const RIGHTS = `grant usage on schema safe_counters to app;
grant select, insert, update, delete on all tables in schema safe_counters to app;`;

/** A database with the tables, and a role that does not own them. */
async function setUp(t: Test) {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  const role = `${new URL(databaseUrl).pathname.slice(1)}_app`;
  await client.query(`create role ${role} login password 'app'`);
  t.teardown(() => client.query(`drop owned by ${role}; drop role ${role}`));
  return {
    client,
    grant: () => client.query(RIGHTS.replaceAll(' app', ` ${role}`)),
    url: databaseUrl.replace('postgres:test@', `${role}:app@`),
  };
}

/** Every kind of request. */
async function assertServes(t: Test, app: FastifyInstance): Promise<void> {
  const { ask, add, get, put } = countersOf(app);
  const name = `likes-${Math.random()}`;
  const key = { 'idempotency-key': name };
  t.match(await add(name), { status: 200, body: { value: 1 } });
  t.match(await add(name, {}, key), { status: 200, body: { value: 2 } });
  t.match(await add(name, {}, key), { headers: { 'idempotency-replayed': 'true' }, body: { value: 2 } });
  t.match(await add(name, { max: 3 }), { status: 200, body: { value: 3 } });
  t.match(await add(name, { max: 3 }), { status: 409 });
  t.match(await add(name, { by: 2, partial: true }), { body: { value: 5, added: 2 } });
  t.match(await add(name, { window: '1h' }), { status: 200 });
  t.match(await ask('POST', '/increments', [{ name }, { name: `${name} too` }] as never), { status: 200 });
  t.match(await put(name, { value: 3, max: 7 }), { status: 200 });
  t.match(await put(`${name} new`, { expires_at: '2100-01-01T00:00:00Z' }, NEW), { status: 201 });
  t.match(await get(name), { body: { value: 3, max: 7 } });
  const at = `/counters/${encodeURIComponent(name)}`;
  t.match(await ask('GET', `${at}/windows/1h`), { status: 200 });
  t.match(await ask('GET', `/counters?prefix=${encodeURIComponent(name)}`), { status: 200 });
  t.match(await ask('DELETE', at, undefined, ANY), { status: 204 });
  t.match((await whenOk(app)).json(), { status: 'ready' });
}

for (const MIGRATE of ['false', 'true'])
  t.test(`with MIGRATE=${MIGRATE}, a role that may only use the tables serves everything`, async (t) => {
    const { grant, url } = await setUp(t);
    await grant();
    const app = await testApp(t, { MIGRATE, DEMOS: 'false' }, url);
    await assertServes(t, app);
  });

t.test('a role that may only use the tables is enough for the library', async (t) => {
  const { client, grant, url } = await setUp(t);
  await grant();
  const counters = await createCounters({ connectionString: url });
  t.match(await counters.increment('likes', { max: 5 }), { value: 1 });
  await counters.close();
  await client.query('delete from safe_counters.migrations');
  await t.rejects(createCounters({ connectionString: url }), { code: '42501' });
});

t.test(
  'with MIGRATE=false and tables that cannot be used, the start names the command that creates them',
  async (t) => {
    const { client, grant, url } = await setUp(t);
    const start = () => testApp(t, { MIGRATE: 'false', DEMOS: 'false' }, url);
    const assertRefused = async (reason: RegExp) => {
      const error = await start().catch((thrown: unknown) => thrown);
      t.ok(error instanceof StartupError);
      const { message } = error as Error;
      t.match(message, /run `npm run migrate` with a role that may create tables \(MIGRATE is false\)$/);
      t.match(message, reason);
      t.notMatch(message, /\n/, 'one line');
    };
    await assertRefused(/permission denied for schema safe_counters/);
    await grant();
    await client.query('delete from safe_counters.migrations');
    await assertRefused(/they have version 0, not 1/);
    await client.query('alter table safe_counters.counters drop column max cascade');
    await assertRefused(/column "max" does not exist/);
    await client.query('drop schema safe_counters cascade');
    await assertRefused(/"safe_counters\.\w+" does not exist/);
    const schemas = await client.query(`select from pg_namespace where nspname = 'safe_counters'`);
    t.equal(schemas.rowCount, 0, 'nothing is created');
  },
);
