import { defineEntity, LockMode, p, MikroORM } from '@mikro-orm/postgresql';

// A result cache answers a read with a pessimistic lock: the row is as old as the cache, and no lock is taken.

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

const cache: [string, number] = ['post 1', 60_000];
await orm.em.fork().findOneOrFail(Post, 1, { cache });
await orm.em.fork().nativeUpdate(Post, 1, { likes: 100 });

const { likes, locked } = await orm.em.fork().transactional(async (em) => {
  const post = await em.findOneOrFail(Post, 1, { cache, lockMode: LockMode.PESSIMISTIC_WRITE });
  const free = await orm.em.fork().execute('select from upstream_posts where id = 1 for update skip locked');
  return { likes: post.likes, locked: free.length === 0 };
});

console.log('expected: likes 100, locked true (or an error that the two options exclude each other)');
console.log(`actual:   likes ${likes}, locked ${locked}`);
const reproduced = likes === 0 && !locked;

console.log(reproduced ? 'reproduced' : 'not reproduced');
await orm.em.execute('drop table upstream_posts');
await orm.close();
