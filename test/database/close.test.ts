import t from 'tap';
import { testApp, testClient, testDatabase, until } from '../helper.ts';

const OTHERS = 'select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()';

t.test('closing the service closes its connections, whether or not the ORM has used them', async (t) => {
  const databaseUrl = await testDatabase(t);
  const observer = await testClient(t, databaseUrl);
  for (const paths of [[], ['/counters'], ['/counters', '/counters/x', '/check']]) {
    const app = await testApp(t, {}, databaseUrl);
    for (const path of paths) await app.inject(path);
    await app.close();
    // A backend ends shortly after its connection was closed; the driver closes idle connections after 10 seconds.
    await until(async () => (await observer.query(OTHERS)).rowCount === 0, 8000);
    t.pass(`after GET ${paths.join(', ')}`);
  }
});
