import { defineEntity, p, MikroORM } from '@mikro-orm/postgresql';

// After a statement has failed, PostgreSQL answers COMMIT with the command tag ROLLBACK and without an error. When the
// error of the statement was caught, em.transactional() resolves as if everything had been written.

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

const transaction = await orm.em
  .fork()
  .transactional(async (em) => {
    await em.nativeUpdate(Post, 1, { likes: 1 });
    await em.execute('select 1 / 0').catch(() => {});
  })
  .then(
    () => 'done',
    (error: Error) => error.message,
  );

const [row] = await orm.em
  .fork()
  .execute<{ likes: number }[]>('select likes from upstream_posts where id = 1');
console.log('expected: an error, since nothing was committed');
console.log(`actual:   ${transaction}, likes ${row?.likes}`);
const reproduced = transaction === 'done' && row?.likes === 0;

console.log(reproduced ? 'reproduced' : 'not reproduced');
await orm.em.execute('drop table upstream_posts');
await orm.close();
