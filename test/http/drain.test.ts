import { once } from 'node:events';
import t from 'tap';
import { POSTS, testApp, testClient, testDatabase, until } from '../helper.ts';

t.test('the database is closed only after the work for disconnected clients has ended', async (t) => {
  const databaseUrl = await testDatabase(t);
  const app = await testApp(t, {}, databaseUrl);
  const url = await app.listen({ port: 0 });
  const database = await testClient(t, databaseUrl);
  await database.query(`begin; lock ${POSTS}`);
  const leaving = new AbortController();
  const closed = once(app.server, 'request').then(([, answer]) => once(answer, 'close'));
  const asked = fetch(`${url}/2th-plock`, { signal: leaving.signal }).catch(() => undefined);
  const watching = await testClient(t, databaseUrl);
  const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
  await until(async () => (await watching.query(waiting)).rowCount === 1);
  leaving.abort();
  await asked;
  await closed;
  const { orm } = app.database;
  const closing = t.capture(orm, 'close', orm.close.bind(orm));
  const end = app.close();
  await once(app.server, 'close');
  t.equal((await watching.query(waiting)).rowCount, 1);
  t.equal(closing().length, 0, 'the database is still open');
  await database.query('rollback');
  await end;
});
