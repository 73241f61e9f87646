import { defineEntity, p, MikroORM } from '@mikro-orm/postgresql';

// Two or more changed versioned entities of one class in one flush: the versions are checked by a SELECT without a lock,
// and the UPDATE has no version in its WHERE. A commit in between is overwritten.
// (With `useBatchUpdates: false` the second flush is refused, as expected.)

const Post = defineEntity({
  name: 'Post',
  tableName: 'upstream_posts',
  properties: { id: p.integer().primary(), likes: p.integer(), version: p.integer().version() },
});

const orm = new MikroORM({ clientUrl: process.env.DATABASE_URL ?? '', entities: [Post] });
await orm.em.execute('drop table if exists upstream_posts');
await orm.em.execute(
  'create table upstream_posts (id integer primary key, likes integer not null, version integer not null default 1)',
);
await orm.em.execute('insert into upstream_posts (id, likes) values (1, 0), (2, 0), (3, 0)');

const [first, second] = [orm.em.fork(), orm.em.fork()];
for (const em of [first, second]) for (const post of await em.find(Post, [1, 2])) post.likes += 1;

await first.begin();
await first.flush(); // Holds its row locks until the commit …
const flushed = second.flush().then(
  () => 'done',
  (error: Error) => error.name,
);
// … and the second UPDATE waits for them, its versions already checked.
const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
while ((await orm.em.fork().execute(waiting)).length === 0);
await first.commit();

const rows = await orm.em.fork().execute('select likes from upstream_posts where id < 3 order by id');
console.log('expected: the second flush is refused with OptimisticLockError');
console.log('actual:  ', await flushed, JSON.stringify(rows), '(two increments of each were acknowledged)');
const reproduced = (await flushed) === 'done';

console.log(reproduced ? 'reproduced' : 'not reproduced');
await orm.em.execute('drop table upstream_posts');
await orm.close();
