import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { ConnectionError, failureOf } from '../../src/database/failure.ts';
import { openDatabase } from '../../src/database/orm.ts';
import { entities } from '../../src/entities.ts';
import { silent, testClient } from '../helper.ts';
import { ownServer } from '../own-server.ts';
import { DEMOS_SCHEMA } from '../test-server.ts';

const { databaseUrl } = await ownServer(t);
const client = await testClient(t, databaseUrl);
const { orm, sessions, close } = openDatabase({
  databaseUrl,
  entities,
  config: loadConfig({}),
  log: silent,
  schema: DEMOS_SCHEMA,
});
t.teardown(close);

const INSERT = 'insert into likes values (1)';

/** Ends every wait for a standby, as an administrator does, until the work is done. */
async function withoutStandby<T>(work: Promise<T>): Promise<T> {
  const cancel = `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`;
  const settled = work.then(
    () => true,
    () => true,
  );
  for (;;) {
    const cancelled = client.query(cancel).then(() => false);
    if (await Promise.race([settled, cancelled])) break;
  }
  return work;
}

/** Makes commits wait for a standby that does not exist. */
async function demandStandby(): Promise<void> {
  await client.query('create table likes (value integer not null)');
  await client.query(`alter system set synchronous_standby_names = 'missing'`);
  await client.query('select pg_reload_conf()');
  const probe = await testClient(t, databaseUrl);
  const routines = new Set<string | undefined>();
  probe.on('notice', ({ routine }) => routines.add(routine));
  // The setting takes effect after a moment.
  while (!routines.has('SyncRepWaitForLSN')) await withoutStandby(probe.query(INSERT));
}

await demandStandby();

t.test('a statement that no synchronous standby confirmed has an unknown outcome', async (t) => {
  const insert = { name: 'insert', text: INSERT, values: [] };
  const error = await withoutStandby(sessions.query(insert).catch((caught: unknown) => caught));
  t.ok(error instanceof ConnectionError);
  t.match(error, { failure: 'unknown', cause: { routine: 'SyncRepWaitForLSN' } });
  const ask = { name: 'one', text: 'select 1 as one', values: [] };
  t.strictSame((await sessions.query(ask)).rows, [{ one: 1 }], 'and the next statement has its own outcome');
});

t.test('the same holds for the commit of a transaction through MikroORM', async (t) => {
  const work = orm.em.fork().transactional((tx) => tx.execute(INSERT));
  t.equal(await withoutStandby(work.then(() => 'committed', failureOf)), 'unknown');
  t.equal(sessions.load.idle, sessions.load.total, 'its connection is intact, and back in the pool');
});
