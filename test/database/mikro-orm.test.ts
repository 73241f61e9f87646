import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Client } from 'pg';
import t from 'tap';
import { CHECKOUT, testClient, testDatabase } from '../helper.ts';
import { DEMOS_SCHEMA } from '../test-server.ts';

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs MikroORM's command line as a developer does. */
const mikroOrm = (env: NodeJS.ProcessEnv, ...args: string[]) =>
  new Promise<Ended>((resolve) => {
    const options = { cwd: CHECKOUT, env: { PATH: process.env.PATH, ...env } };
    execFile('npm', ['run', '--silent', 'mikro-orm', '--', ...args], options, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : 0;
      resolve({ code, stdout: stripVTControlCharacters(stdout), stderr });
    });
  });

/** Tables beside the counters, of an application and of another installation, some with the names of the demonstrations. */
const OTHERS = `
  create schema if not exists safe_counters;
  create table safe_counters.totals (name text collate "C" primary key, value bigint not null);
  create view safe_counters.names as select name from safe_counters.totals;
  create type mood as enum ('good', 'bad');
  create table posts (pk text primary key, "like" numeric default 3, stock text check (stock <> ''), author mood);
  create table counters (id serial primary key, post text references posts on delete cascade);
  create table mikro_orm_migrations (id serial primary key, name text, executed_at timestamptz);
  create view authors as select author from posts;
  create materialized view likes as select sum("like") from posts;
  create function noop() returns trigger language plpgsql as 'begin return new; end';
  create trigger noop before insert on posts for each row execute function noop();
  create schema "Shop";
  create table "Shop".like_slots (post_pk integer primary key, slot text not null);
  create table "Shop".sales (day date) partition by range (day);
  create table "Shop".sales_2026 partition of "Shop".sales for values from ('2026-01-01') to ('2027-01-01');
  create schema empty;
  create schema likes_demos;
  create table likes_demos.posts (like ${DEMOS_SCHEMA}.posts including all);
  create table likes_demos.like_slots (like ${DEMOS_SCHEMA}.like_slots including all);
  alter table likes_demos.like_slots add constraint like_slots_post_pk_fkey foreign key (post_pk) references likes_demos.posts`;

/** Everything in the database that could be dropped or changed, by name. */
async function contents(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%s %s %s', nspname, relkind, relname) as name
       from pg_class join pg_namespace on pg_namespace.oid = relnamespace
       where nspname !~ '^pg_' and nspname <> 'information_schema'
     union all select nspname from pg_namespace
     union all select format('%s %s', conname, pg_get_constraintdef(oid)) from pg_constraint
     union all select typname from pg_type
     union all select proname from pg_proc
     union all select tgname from pg_trigger
     order by 1`,
  );
  return rows.map(({ name }) => name);
}

const UP_TO_DATE = { code: 0, stdout: 'No changes required, schema is up-to-date\n', stderr: '' };

t.test('the command line of MikroORM sees only the tables of the demonstrations', async (t) => {
  const DATABASE_URL = await testDatabase(t);
  const client = await testClient(t, DATABASE_URL);
  await client.query(OTHERS);
  const before = await contents(client);
  const files = await readdir(join(CHECKOUT, 'migrations'));
  for (const [args, stdout] of [
    [['migration:check'], UP_TO_DATE.stdout],
    [['migration:create'], UP_TO_DATE.stdout],
    [['migration:pending'], 'No pending migrations\n'],
    [['schema:update', '--dump'], 'Schema is up-to-date\n'],
    [['schema:update', '--run'], 'Schema successfully updated\n'],
  ] as const) {
    t.strictSame(await mikroOrm({ DATABASE_URL }, ...args), { ...UP_TO_DATE, stdout }, args.join(' '));
  }
  t.strictSame(await contents(client), before);
  t.strictSame(await readdir(join(CHECKOUT, 'migrations')), files);

  await t.test('and finds a change in them', async (t) => {
    await client.query(`alter table ${DEMOS_SCHEMA}.posts alter column "like" drop default`);
    t.match(await mikroOrm({ DATABASE_URL }, 'migration:check'), { code: 1, stdout: /Changes detected/ });
    const { stdout } = await mikroOrm({ DATABASE_URL }, 'schema:update', '--dump');
    t.strictSame(stdout.match(/^(alter|create|drop).*$/gm), [
      `alter table "${DEMOS_SCHEMA}"."posts" alter column "like" set default 0;`,
    ]);
  });
});

t.test('the command line of MikroORM migrates in the schema of the service', async (t) => {
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const env = { DATABASE_URL, DATABASE_SCHEMA: 'likes' };
  t.match(await mikroOrm(env, 'migration:up'), { code: 0, stdout: /Applied '\d+_demonstrations'/ });
  t.strictSame(await mikroOrm(env, 'migration:check'), UP_TO_DATE);
  const client = await testClient(t, DATABASE_URL);
  t.strictSame(
    (await client.query(`select schemaname from pg_tables where tablename ~ '^(posts|mikro)'`)).rows,
    [{ schemaname: 'likes_demos' }, { schemaname: 'likes_demos' }],
  );
});

t.test('the command line of MikroORM reports a missing database in one line', async (t) => {
  t.strictSame(await mikroOrm({}, 'migration:check'), {
    code: 1,
    stdout: '',
    stderr: 'set DATABASE_URL to use the command line of MikroORM\n',
  });
  const nowhere = 'postgresql://me:secret@127.0.0.1:1/db';
  t.match(await mikroOrm({ DATABASE_URL: nowhere }, 'migration:check'), {
    code: 1,
    stderr: /^cannot use the database at 127.0.0.1:1\/db as "me" \(DATABASE_URL\): .*ECONNREFUSED.*\n$/,
  });
});
