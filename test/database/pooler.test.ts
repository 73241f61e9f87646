import t, { type Test } from 'tap';
import { createCounters } from '../../src/library/index.ts';
import { silent, testApp, testClient, testDatabase, until } from '../helper.ts';
import { noPgBouncer, pgbouncer } from '../pgbouncer.ts';
import { recordingProxy } from '../recording-proxy.ts';

const IGNORED = 'options,lock_timeout,statement_timeout,idle_in_transaction_session_timeout';

/** What is between the counters and the server; each returns its port. */
const poolers: Record<
  string,
  { skip?: string | false; start: (t: Test, port: number) => Promise<number>; refuses?: string }
> = {
  'refuses session settings with 08P01, as PgBouncer does': {
    skip: noPgBouncer,
    start: (t, port) => pgbouncer(t, port),
  },
  'ignores session settings, as PgBouncer can': {
    skip: noPgBouncer,
    start: (t, port) => pgbouncer(t, port, `ignore_startup_parameters = ${IGNORED}`),
  },
  'refuses options with 0A000, as RDS Proxy does': { start: async (_t, port) => port, refuses: 'options' },
};

/** Keeps which settings the sessions had that wrote a counter, apart from those of a transaction. */
const NOTE_SETTINGS = `
  create table public.noted (name text, setting text);
  create function public.note() returns trigger language plpgsql set search_path = public as $$
    begin
      insert into public.noted
        select s.name, s.setting from pg_catalog.pg_settings as s
        where s.name in ('enable_seqscan', 'statement_timeout', 'default_transaction_isolation');
      insert into public.noted select 'prepared', p.name from pg_catalog.pg_prepared_statements as p;
      return null;
    end $$;
  create trigger note after insert or update on safe_counters.writers for each row execute function public.note()`;

const noted = `select name, array_agg(distinct setting order by setting) as settings from public.noted group by name order by name`;

const DEFAULTS = [
  { name: 'default_transaction_isolation', settings: ['read committed'] },
  { name: 'enable_seqscan', settings: ['on'] },
  { name: 'statement_timeout', settings: ['0'] },
];

/** `set` outside a transaction's own settings: the next client of the pooler would get it. */
const SETS = /(^|;)\s*set\s+(?!local\b)/i;

for (const [behaviour, { skip = false, start, refuses }] of Object.entries(poolers)) {
  t.test(
    `behind a pooler that ${behaviour}, service and library count without settings and prepared statements`,
    { skip },
    async (t) => {
      const databaseUrl = new URL(await testDatabase(t));
      const client = await testClient(t, databaseUrl.href);
      await client.query(NOTE_SETTINGS);
      const proxy = await recordingProxy(t, await start(t, Number(databaseUrl.port)), refuses);
      const connectionString = `postgresql://postgres:test@127.0.0.1:${proxy.port}${databaseUrl.pathname}`;
      const warnings: string[] = [];
      const app = await testApp(t, { DEMOS: 'false' }, connectionString);
      const likes = await createCounters({ connectionString, warn: (line) => warnings.push(line) });
      t.teardown(() => likes.close());
      await likes.set('bounded', { value: 0, max: 100 }, 'missing');
      for (let round = 0; round < 10; round += 1) {
        const url = '/counters/likes/increments';
        await Promise.all([
          app.inject({ method: 'POST', url }),
          app.inject({ method: 'POST', url, headers: { 'idempotency-key': `${round}` } }),
          likes.increment('likes', { key: `${round}` }),
          likes.incrementAll([{ name: 'likes' }, { name: 'bounded', min: 0 }], {
            key: `bulk ${round}`.replace(' ', '-'),
          }),
        ]);
      }
      t.match(await likes.read('likes'), { value: 30 }, 'each key once');
      t.match((await app.inject('/counters/bounded')).json(), { value: 10 });
      t.match(warnings, [/timeouts .* are not applied.*set them on the role/]);
      t.same((await client.query(noted)).rows, DEFAULTS, 'nor does a session keep any');
      t.ok(proxy.statements.length > 50);
      for (const { name, text } of proxy.statements) {
        if (name !== '') t.fail(`prepared: ${name}`);
        if (SETS.test(text)) t.fail(text);
      }
    },
  );
}

t.test(
  'where settings are applied, sessions have them from the start, and prepare their statements',
  async (t) => {
    const databaseUrl = new URL(await testDatabase(t));
    const client = await testClient(t, databaseUrl.href);
    await client.query(NOTE_SETTINGS);
    const proxy = await recordingProxy(t, Number(databaseUrl.port));
    const connectionString = `postgresql://postgres:test@127.0.0.1:${proxy.port}${databaseUrl.pathname}`;
    const likes = await createCounters({ connectionString, warn: silent.warn });
    t.teardown(() => likes.close());
    await likes.increment('likes');
    await likes.set('likes', { max: 3 }, 'exists');
    t.match((await client.query(noted)).rows, [
      DEFAULTS[0],
      { name: 'enable_seqscan', settings: ['off'] },
      { name: 'prepared' },
      { name: 'statement_timeout', settings: ['10000'] },
    ]);
    t.ok(proxy.statements.some(({ name }) => name.startsWith('write-one-')));
    t.ok(proxy.statements.some(({ name }) => name.startsWith('apply-')));
    t.notOk(proxy.statements.some(({ text }) => SETS.test(text)));
  },
);

t.test('options in the address are combined with those of the counters, which override them', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  await client.query(NOTE_SETTINGS.replace("'enable_seqscan'", "'enable_seqscan', 'work_mem'"));
  const options = '-c work_mem=77kB -c statement_timeout=77 -c enable_seqscan=on';
  const connectionString = `${databaseUrl}?options=${encodeURIComponent(options)}`;
  const connection = { connectionString: databaseUrl, options };
  for (const [i, given] of [{ connectionString }, { connection }].entries()) {
    await client.query('delete from public.noted');
    const likes = await createCounters({ ...given, warn: silent.warn });
    t.teardown(() => likes.close());
    t.match(await likes.increment('likes'), { value: i + 1 });
    t.match((await client.query(noted.replace('group by', `where name <> 'prepared' group by`))).rows, [
      DEFAULTS[0],
      { name: 'enable_seqscan', settings: ['off'] },
      { name: 'statement_timeout', settings: ['10000'] },
      { name: 'work_mem', settings: ['77'] },
    ]);
  }
  const app = await testApp(t, { DEMOS: 'false' }, connectionString);
  t.match((await app.inject({ method: 'POST', url: '/counters/likes/increments' })).json(), { value: 3 });
});

t.test(
  'where a pooler passes settings on but loses prepared statements, requests count once without them',
  { skip: noPgBouncer },
  async (t) => {
    const databaseUrl = new URL(await testDatabase(t));
    const client = await testClient(t, databaseUrl.href);
    const database = databaseUrl.pathname.slice(1);
    // The sessions seem to have the settings that the counters asked for.
    for (const setting of ['lock_timeout = 5000', 'statement_timeout = 10000', 'enable_seqscan = off'])
      await client.query(`alter database ${database} set ${setting}`);
    const pooler = await pgbouncer(t, Number(databaseUrl.port), `ignore_startup_parameters = ${IGNORED}`);
    const proxy = await recordingProxy(t, pooler);
    const connectionString = `postgresql://postgres:test@127.0.0.1:${proxy.port}${databaseUrl.pathname}`;
    const all = await Promise.all(
      [1, 2, 3].map(() => createCounters({ connectionString, warn: silent.warn })),
    );
    t.teardown(() => Promise.all(all.map((one) => one.close())));
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(
        all.map(async (one, i) => {
          await one.increment('likes', { key: `${round}-${i}` });
          await one.increment('likes', { max: 1000 });
          await one.set(`counter ${round} ${i}`, { value: 1 }, 'missing');
        }),
      );
    }
    t.match(await all[0]?.read('likes'), { value: 120 });
    t.equal((await all[1]?.list())?.counters.length, 61);
    t.ok(
      proxy.statements.some(({ name }) => name !== ''),
      'at first, statements were prepared',
    );
    // Each learns it from the first statement that is lost: at once, or when it meets another server connection.
    await until(async () => {
      const since = proxy.statements.length;
      await Promise.all(all.map((one) => one.increment('likes', { max: 1000 })));
      return !proxy.statements.slice(since).some(({ name }) => name !== '');
    });
    const before = proxy.statements.length;
    await Promise.all(all.map((one) => one.increment('likes', { max: 1000 })));
    t.notOk(
      proxy.statements.slice(before).some(({ name }) => name !== ''),
      'and later no longer',
    );
  },
);
