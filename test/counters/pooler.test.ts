import t from 'tap';
import { noPgBouncer, pgbouncer } from '../pgbouncer.ts';
import { testApp, testDatabase } from '../helper.ts';

const settings = 'options,lock_timeout,statement_timeout,idle_in_transaction_session_timeout';

for (const [behaviour, configuration] of [
  ['refuses session settings', ''],
  ['ignores session settings', `ignore_startup_parameters = ${settings}`],
] as const) {
  t.test(`replicas behind a pooler that ${behaviour} count exactly`, { skip: noPgBouncer }, async (t) => {
    const database = new URL(await testDatabase(t));
    const port = await pgbouncer(t, Number(database.port), configuration);
    const url = `postgresql://postgres:test@127.0.0.1:${port}${database.pathname}`;
    const replicas = await Promise.all([1, 2, 3].map(() => testApp(t, { DEMOS: 'false' }, url)));
    for (let round = 0; round < 20; round += 1) {
      const answers = await Promise.all(
        replicas.flatMap((app) =>
          [{}, { 'idempotency-key': `key-${round}` }].map((headers) =>
            app.inject({ method: 'POST', url: '/counters/likes/increments', headers }),
          ),
        ),
      );
      t.ok(answers.every(({ statusCode }) => statusCode === 200));
      // Each of the three requests without a key counts; the three with the same key count once.
      t.equal(new Set(answers.map((answer) => answer.json().value)).size, 4);
    }
    t.equal((await replicas[0]?.inject('/counters/likes'))?.json().value, 80);
  });
}
