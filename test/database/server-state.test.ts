import { pino } from 'pino';
import t from 'tap';
import { POSTS, testApp, testClient, testDatabase, testOrm, until, whenOk } from '../helper.ts';
import { serverState } from '../../src/database/server-state.ts';
import { ownServer } from '../own-server.ts';
import { completePostgres, startPair } from '../standby.ts';

const SCHEMA = 'safe_counters';

t.test('the service’s sessions override synchronous_commit = off of a role or database', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  await client.query(`alter database ${new URL(databaseUrl).pathname.slice(1)} set synchronous_commit = off`);
  const app = await testApp(t, {}, databaseUrl);
  const show = { name: 'show', text: 'show synchronous_commit', values: [] };
  for (const sessions of [app.database.sessions, app.database.counters])
    t.strictSame((await sessions.query(show)).rows, [{ synchronous_commit: 'on' }]);
});

t.test('a stronger setting of the database is kept', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  const database = new URL(databaseUrl).pathname.slice(1);
  await client.query(`alter database ${database} set synchronous_commit = remote_apply`);
  const app = await testApp(t, {}, databaseUrl);
  const show = { name: 'show', text: 'show synchronous_commit', values: [] };
  t.strictSame((await app.database.counters.query(show)).rows, [{ synchronous_commit: 'remote_apply' }]);
});

t.test('readiness and metrics report what a commit does not guarantee', async (t) => {
  // The test server runs with fsync off.
  const app = await testApp(t);
  t.match((await whenOk(app)).json(), { status: 'ready', risks: [{ risk: 'fsync_off', meaning: /crash/ }] });
  const metrics = (await app.inject('/metrics')).body;
  t.match(metrics, /^safe_counters_durability_risk\{risk="fsync_off"\} 1$/m);
  t.match(metrics, /^safe_counters_durability_risk\{risk="asynchronous_standbys"\} 0$/m);
});

t.test('the age of the oldest snapshot grows while a session holds it', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t);
  const [holder, other] = [await testClient(t, databaseUrl), await testClient(t, databaseUrl)];
  await holder.query('begin isolation level repeatable read');
  await holder.query('select count(*) from safe_counters.counters');
  for (let i = 0; i < 5; i += 1) await other.query(`insert into ${POSTS} default values`);
  const { oldestSnapshotAge = 0 } = await serverState(sessions, SCHEMA);
  t.ok(oldestSnapshotAge >= 5, `${oldestSnapshotAge}`);
});

t.test('a session with synchronous_commit = off is a risk', async (t) => {
  const { databaseUrl } = await ownServer(t);
  const client = await testClient(t, databaseUrl);
  await client.query('set synchronous_commit = off');
  const query = (({ text, values }: { text: string; values: unknown[] }) =>
    client.query(text, values)) as never;
  t.match((await serverState({ query }, SCHEMA)).risks, ['fsync_off', 'synchronous_commit_off']);
  await client.query('set default_transaction_read_only = on');
  t.equal((await serverState({ query }, SCHEMA)).readOnly, true);
});

t.test('another role that may create objects in the schema of the counters is a risk', async (t) => {
  const { databaseUrl } = await ownServer(t);
  const client = await testClient(t, databaseUrl);
  const query = (({ text, values }: { text: string; values: unknown[] }) =>
    client.query(text, values)) as never;
  const risks = async () =>
    (await serverState({ query }, SCHEMA)).risks.filter((risk) => risk === 'foreign_create');
  t.same(await risks(), [], 'without the schema');
  await client.query(`create role owner; create role stranger; create schema ${SCHEMA} authorization owner`);
  await client.query(
    `grant usage on schema ${SCHEMA} to stranger; grant create on schema ${SCHEMA} to postgres`,
  );
  t.same(await risks(), [], 'the owner, and the role that asks');
  for (const grantee of ['stranger', 'public']) {
    await client.query(`grant create on schema ${SCHEMA} to ${grantee}`);
    t.same(await risks(), ['foreign_create'], grantee);
    await client.query(`revoke create on schema ${SCHEMA} from ${grantee}`);
    t.same(await risks(), [], grantee);
  }
});

const bin = await completePostgres();

t.test(
  'an asynchronous standby is reported as a risk, to every role and whenever it connects',
  { skip: bin ? false : 'pg_basebackup is not installed' },
  async (t) => {
    const { primary } = await startPair(t, bin ?? '');
    const administrator = await testClient(t, primary);
    await administrator.query(
      `create role app login password 'app'; grant create on database postgres to app`,
    );
    const log: string[] = [];
    const logger = pino<string>({ level: 'info' }, { write: (line) => void log.push(line) });
    const app = await testApp(t, {}, primary.replace('postgres:test@', 'app:app@'), logger);
    const risks = async () =>
      (await whenOk(app)).json<{ risks: { risk: string }[] }>().risks.map(({ risk }) => risk);
    const logged = (line: RegExp) => log.filter((text) => line.test(text)).length;
    t.ok((await risks()).includes('asynchronous_standbys'));
    t.match(
      (await app.inject('/metrics')).body,
      /^safe_counters_durability_risk\{risk="asynchronous_standbys"\} 1$/m,
    );
    t.equal(logged(/"level":40.*standbys replicate asynchronously/), 1);
    await administrator.query(`alter system set synchronous_standby_names = '*'`);
    await administrator.query('select pg_reload_conf()');
    await until(async () => !(await risks()).includes('asynchronous_standbys'));
    t.equal(logged(/risk resolved: standbys replicate asynchronously/), 1);
    await administrator.query('alter system reset synchronous_standby_names');
    await administrator.query('select pg_reload_conf()');
    await until(async () => (await risks()).includes('asynchronous_standbys'));
    t.equal(logged(/"level":40.*standbys replicate asynchronously/), 2, 'it is logged after the start, too');
  },
);
