import { defineEntity, p, type TransactionOptions, MikroORM } from '@mikro-orm/postgresql';

// TransactionManager.handle() runs `options.ctx ??= em.getTransactionContext()` on its caller's object: an options object
// that was once used inside a transaction creates a savepoint of that transaction in every later call.

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

const options: TransactionOptions = {};
await orm.em.fork().transactional((outer) => outer.transactional(async () => {}, options));

const later = await orm.em
  .fork()
  .transactional((em) => em.nativeUpdate(Post, 1, { likes: 1 }), options)
  .then(
    () => 'done',
    (error: Error) => error.message,
  );
console.log('expected: done');
console.log('actual:  ', later);
const reproduced = later !== 'done';

console.log(reproduced ? 'reproduced' : 'not reproduced');
await orm.em.execute('drop table upstream_posts');
await orm.close();
