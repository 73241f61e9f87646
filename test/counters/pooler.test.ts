import t from 'tap';
import { noPgBouncer, pgbouncer } from '../pgbouncer.ts';
import { testApp, testDatabase } from '../helper.ts';
import { countersOf, NEW } from './http.ts';

const settings = 'options,lock_timeout,statement_timeout,idle_in_transaction_session_timeout';

for (const [behaviour, configuration] of [
  ['refuses session settings', ''],
  ['ignores session settings', `ignore_startup_parameters = ${settings}`],
] as const) {
  t.test(`replicas behind a pooler that ${behaviour} count exactly`, { skip: noPgBouncer }, async (t) => {
    const database = new URL(await testDatabase(t));
    const port = await pgbouncer(t, Number(database.port), configuration);
    const url = `postgresql://postgres:test@127.0.0.1:${port}${database.pathname}`;
    const apps = await Promise.all([1, 2, 3].map(() => testApp(t, { DEMOS: 'false' }, url)));
    const replicas = apps.map(countersOf);
    for (let round = 0; round < 20; round += 1) {
      const answers = await Promise.all(
        replicas.flatMap(({ add }) =>
          [{}, { 'idempotency-key': `key-${round}` }].map((headers) => add('likes', undefined, headers)),
        ),
      );
      t.ok(answers.every(({ status }) => status === 200));
      // Each of the three requests without a key counts; the three with the same key count once.
      t.equal(new Set(answers.map(({ body }) => body.value)).size, 4);
    }
    t.equal((await replicas[0]?.get('likes'))?.body.value, 80);

    // Transactions of several statements.
    const created = await Promise.all(replicas.map(({ put }) => put('tickets', { max: 100 }, NEW)));
    t.strictSame(
      created.map(({ status }) => status).toSorted((a, b) => a - b),
      [201, 412, 412],
    );
    let sold = 0;
    for (let round = 0; round < 20; round += 1) {
      const answers = await Promise.all(
        replicas.flatMap(({ add }) => [
          add('tickets', { by: 2, partial: true }),
          add('tickets', { max: 90 }, { 'idempotency-key': `ticket-${round}` }),
        ]),
      );
      const counted = answers.filter(({ status }) => status === 200);
      t.ok(answers.every(({ status }) => status === 200 || status === 409));
      sold += counted.reduce((sum, { body }) => sum + (body.added ?? 0), 0);
      // The three with the same key count once, or are refused.
      sold += counted.some(({ body }) => body.added === undefined) ? 1 : 0;
    }
    t.equal(sold, 100);
    t.equal((await replicas[0]?.get('tickets'))?.body.value, 100);
  });
}
