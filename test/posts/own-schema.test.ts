import t from 'tap';
import { strategies } from '../../src/strategies/index.ts';
import { testApp, testClient, testDatabase } from '../helper.ts';

t.test('the demonstrations use their own schema, whatever the search path is', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  // Tables of an application with the same names, which the service would find first.
  await client.query(`
    create table posts (pk integer primary key, "like" integer, version integer, modified_at timestamptz, stock integer);
    create table like_slots (post_pk integer, slot integer, "like" integer, primary key (post_pk, slot));
    create table like_entries (pk serial primary key, post_pk integer, liked_at timestamptz);
    create sequence requested_posts;
    insert into posts values (1, 1000, 1, now(), null)`);
  const app = await testApp(t, { DATABASE_SCHEMA: 'likes' }, databaseUrl);
  const post = async (url: string) => {
    const answer = await app.inject({ method: 'POST', url });
    t.ok(answer.statusCode < 300, `${url}: ${answer.body}`);
    return answer.json<Record<string, number>>();
  };
  t.match(await post('/init'), { like_result: 0 });
  t.match(await post('/2th-plock'), { like_result: 50 });
  for (const { name } of strategies) {
    const { pk } = await post(`/strategies/${name}/posts`);
    await post(`/strategies/${name}/posts/${pk}/increments`);
    t.match((await app.inject(`/strategies/${name}/posts/${pk}`)).json(), { likes: 1 }, name);
  }
  const races = await app.inject({ method: 'POST', url: '/races', payload: { workers: 2, increments: 5 } });
  t.equal(races.statusCode, 200);
  const { rows } = await client.query(
    `select (select array_agg("like") from public.posts) as likes, (select count(*)::int from public.like_slots) as slots,
            (select count(*)::int from public.like_entries) as entries, (select is_called from requested_posts) as called,
            (select count(*)::int from likes_demos.posts) as posts`,
  );
  t.strictSame(rows, [{ likes: [1000], slots: 0, entries: 0, called: false, posts: strategies.length + 1 }]);
});
