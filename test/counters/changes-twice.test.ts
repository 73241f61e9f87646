import type { FastifyInstance, InjectOptions } from 'fastify';
import t from 'tap';
import { testApp, testClient, testDatabase, until } from '../helper.ts';

const databaseUrl = await testDatabase(t);
const replicas = [
  await testApp(t, { DEMOS: 'false' }, databaseUrl),
  await testApp(t, { DEMOS: 'false' }, databaseUrl),
];
const holder = await testClient(t, databaseUrl);
const observer = await testClient(t, databaseUrl);

const put = (app: FastifyInstance, url: string, payload: object, headers: InjectOptions['headers'] = {}) =>
  app.inject({ method: 'PUT', url, payload, headers });

/**
 * Sends the same request to both replicas while another transaction holds a lock that they need. Rolls that transaction
 * back once both wait for the lock.
 *
 * @param lock the statement that takes the lock
 */
async function putTwice(lock: string, url: string, payload: object, headers: InjectOptions['headers']) {
  await holder.query(`begin; ${lock}`);
  const answers = replicas.map((app) => put(app, url, payload, headers));
  await until(async () => {
    const { rowCount } = await observer.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rowCount === 2;
  });
  await holder.query('rollback');
  return Promise.all(answers);
}

const countReplays = (answers: Awaited<ReturnType<typeof putTwice>>) =>
  answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true').length;

t.test(
  'a change that is sent to two replicas at once, with one key, is made once and answered twice',
  async (t) => {
    const [app] = replicas as [FastifyInstance];
    await put(app, '/counters/once', { value: 5 }, { 'if-none-match': '*' });
    const answers = await putTwice(
      `select from safe_counters.counters where name = 'once' for update`,
      '/counters/once',
      { value: 6 },
      { 'if-match': '"5"', 'idempotency-key': 'change' },
    );
    for (const answer of answers)
      t.match(
        { status: answer.statusCode, body: answer.json() },
        { status: 200, body: { value: 6, replaced: 5 } },
      );
    t.equal(countReplays(answers), 1);
  },
);

t.test(
  'the creation of a counter that is sent to two replicas at once, with one key, is made once and answered twice',
  async (t) => {
    const answers = await putTwice(
      `insert into safe_counters.counters (name, value) values ('new', 0)`,
      '/counters/new',
      { value: 7 },
      { 'if-none-match': '*', 'idempotency-key': 'creation' },
    );
    for (const answer of answers)
      t.match({ status: answer.statusCode, body: answer.json() }, { status: 201, body: { value: 7 } });
    t.equal(countReplays(answers), 1);
  },
);
