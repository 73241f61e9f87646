import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { entities } from '../../src/entities.ts';
import { bucketOf } from '../../src/counters/windows.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openDatabase } from '../../src/database/orm.ts';
import { silent, testClient, testDatabase } from '../helper.ts';

const config = loadConfig({});

t.test(
  'of three concurrent starts on an empty database, one migrates and the others find nothing to do',
  async (t) => {
    for (const level of ['read committed', 'serializable']) {
      const databaseUrl = await testDatabase(t, { migrated: false });
      const strict = loadConfig({ ISOLATION_LEVEL: level });
      const applied = await Promise.all(
        [1, 2, 3].map(() => migrate({ databaseUrl, entities, config: strict, log: silent })),
      );
      t.equal(applied.filter((count) => count > 0).length, 1, level);
    }
  },
);

t.test('the migrations create what the entities describe', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  const { rows } = await client.query(
    `select column_name as name, data_type as type, is_nullable as nullable from information_schema.columns
     where table_name = 'posts' order by ordinal_position`,
  );
  t.strictSame(rows, [
    { name: 'pk', type: 'integer', nullable: 'NO' },
    { name: 'like', type: 'integer', nullable: 'NO' },
    { name: 'version', type: 'integer', nullable: 'NO' },
    { name: 'modified_at', type: 'timestamp with time zone', nullable: 'NO' },
    { name: 'stock', type: 'integer', nullable: 'YES' },
  ]);
});

t.test('the migrations can be reverted and applied again', async (t) => {
  const databaseUrl = await testDatabase(t);
  const { orm, close } = openDatabase({ databaseUrl, entities, config, log: silent });
  t.teardown(close);
  await orm.migrator.down({ to: 0 });
  const client = await testClient(t, databaseUrl);
  t.match((await client.query(`select to_regclass('posts') as posts`)).rows, [{ posts: null }]);
  t.ok((await migrate({ databaseUrl, entities, config, log: silent })) > 0);
});

t.test('reverting the expiry deletes expired counters and windows', async (t) => {
  const databaseUrl = await testDatabase(t);
  const { orm, close } = openDatabase({ databaseUrl, entities, config, log: silent });
  t.teardown(close);
  const client = await testClient(t, databaseUrl);
  const window = bucketOf('likes', '1d', Date.now());
  await client.query(
    `insert into counters (name, value, expires_at) values
       ('likes', 1, null), ('offer', 2, now() + interval '1 day'), ('over', 3, now()), ($1, 4, now() + interval '1 day')`,
    [window.name],
  );
  await orm.migrator.down();
  const { rows } = await client.query('select name from counters order by name');
  t.same(rows, [{ name: 'likes' }, { name: 'offer' }]);
});
