import { defineEntity, p, MikroORM } from '@mikro-orm/postgresql';

// UnitOfWork.commit() queues a flush while another one is running. When that one throws, the queue is not processed:
// the promise of the second flush stays pending until a later flush on the same EntityManager succeeds.

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

const em = orm.em.fork();
(await em.findOneOrFail(Post, 1)).likes += 1;
await orm.em.fork().nativeUpdate(Post, 1, { likes: 100 }); // The version is raised: the flush will be refused.

const first = em.flush().then(
  () => 'done',
  (error: Error) => error.name,
);
let second = 'no answer';
em.flush().then(
  () => (second = 'done'),
  (error: Error) => (second = error.name),
);
console.log('first: ', await first);
// No statement is in flight any longer; after some round trips, the flush is still pending.
for (let i = 0; i < 20; i += 1) await em.execute('select 1');
console.log('expected: the second flush succeeds or fails');
console.log('actual:  ', second);
const reproduced = second === 'no answer';

console.log(reproduced ? 'reproduced' : 'not reproduced');
await orm.em.execute('drop table upstream_posts');
await orm.close();
