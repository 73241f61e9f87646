import { defineEntity, p, MikroORM } from '@mikro-orm/postgresql';

// A connection that breaks inside a transaction (the server closed it: idle timeout, failover) is never returned to
// the pool: Kysely's ControlledTransaction releases it after a commit or a rollback that succeeded, and on a
// broken connection neither does. After `max` of these, every further query waits forever.

const Post = defineEntity({
  name: 'Post',
  tableName: 'upstream_posts',
  properties: { id: p.integer().primary(), likes: p.integer(), version: p.integer().version() },
});

const orm = new MikroORM({
  clientUrl: process.env.DATABASE_URL ?? '',
  entities: [Post],
  pool: { max: 1 },
  driverOptions: { connectionTimeoutMillis: 1000 },
});
await orm.em.execute('drop table if exists upstream_posts');
await orm.em.execute(
  'create table upstream_posts (id integer primary key, likes integer not null, version integer not null default 1)',
);
await orm.em.execute('insert into upstream_posts (id, likes) values (1, 0), (2, 0), (3, 0)');

const administrator = new MikroORM({
  clientUrl: process.env.DATABASE_URL ?? '',
  entities: [Post],
  contextName: 'administrator',
});
const end = await orm.em
  .fork()
  .transactional(async (em) => {
    const [row] = await em.execute<{ pid: number }[]>('select pg_backend_pid() as pid');
    await administrator.em.fork().execute('select pg_terminate_backend(?)', [row?.pid]);
    await em.execute('select 1');
  })
  .catch((error: Error & { code?: string }) => error.code ?? error.message);
console.log('transaction:', end);
const next = await orm.em
  .fork()
  .execute('select 1')
  .then(
    () => 'done',
    (error: Error) => error.message,
  );
console.log('expected: done');
console.log('actual:  ', next);
const reproduced = next !== 'done';

console.log(reproduced ? 'reproduced' : 'not reproduced');
await administrator.em.execute('drop table upstream_posts');
await administrator.close();
// The pool cannot be closed, because it waits for its lent connections.
process.exit();
