import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { testApp, testClient, testDatabase } from '../helper.ts';

const OTHERS = 'datname = current_database() and pid <> pg_backend_pid()';

t.test('closing the service closes its connections, whether or not the ORM has used them', async (t) => {
  const databaseUrl = await testDatabase(t);
  const observer = await testClient(t, databaseUrl);
  for (const paths of [[], ['/counters'], ['/counters', '/counters/x', '/check']]) {
    const app = await testApp(t, {}, databaseUrl);
    for (const path of paths) await app.inject(path);
    await app.close();
    // A backend ends shortly after its connection was closed; the driver closes idle connections after 10 seconds.
    const since = performance.now();
    const left = async () =>
      (await observer.query(`select from pg_stat_activity where ${OTHERS}`)).rowCount as number;
    while ((await left()) > 0 && performance.now() - since < 5000) await setImmediate();
    t.equal(await left(), 0, `after GET ${paths.join(', ')}`);
  }
});
