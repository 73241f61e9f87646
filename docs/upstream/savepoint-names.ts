import { defineEntity, p, MikroORM } from '@mikro-orm/postgresql';

// Nested transactions that run in parallel inside one transaction all name their savepoint trx1. So `rollback to "trx1"`
// of the one that fails returns to the savepoint that was set last, and undoes the work of the others.

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

const ends = await orm.em.fork().transactional((outer) =>
  Promise.allSettled(
    [1, 2, 3].map((id) =>
      outer.transactional(async (nested) => {
        await nested.nativeUpdate(Post, id, { likes: 1 });
        if (id === 2) throw new Error('this one fails');
      }),
    ),
  ),
);

const rows = await orm.em.fork().execute<{ likes: number }[]>('select likes from upstream_posts order by id');
const likes = rows.map((row) => row.likes);
const statuses = ends.map(({ status }) => status);
console.log('expected:', statuses.join(), '→ likes 1,0,1');
console.log('actual:  ', statuses.join(), '→ likes', likes.join());
const reproduced = statuses[0] === 'fulfilled' && likes[0] === 0;

console.log(reproduced ? 'reproduced' : 'not reproduced');
await orm.em.execute('drop table upstream_posts');
await orm.close();
