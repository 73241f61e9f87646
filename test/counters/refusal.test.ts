import { Agent, request } from 'node:http';
import t from 'tap';
import { testApp, testClient, testDatabase, until } from '../helper.ts';

interface Answer {
  status: number | undefined;
  retryAfter: string | undefined;
  code?: string;
}

t.test(
  'a full queue refuses requests at once, without reading them, and reads the connection again when there is room',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const app = await testApp(t, { COUNTER_QUEUE_MAX: '1', DEMOS: 'false' }, databaseUrl);
    const url = await app.listen({ port: 0 });
    const database = await testClient(t, databaseUrl);
    const observer = await testClient(t, databaseUrl);
    await database.query(`insert into safe_counters.counters (name, value) values ('likes', 0)`);
    await database.query('begin');
    // As a migration does: no counter can be written, and the writer cannot look up which counters are locked.
    await database.query('lock table safe_counters.counters in exclusive mode');

    const first = post(url, new Agent({ keepAlive: true }));
    await until(async () => {
      const waiting = await observer.query(`select from pg_stat_activity where wait_event_type = 'Lock'`);
      return waiting.rowCount === 1;
    });
    const second = post(url, new Agent({ keepAlive: true }));
    await until(async () => (await app.metrics.metrics()).includes('safe_counters_queue_length 1'));

    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const refusals = await Promise.all([
      post(url, agent, 'not even JSON'),
      post(url, agent),
      post(url, agent),
    ]);
    for (const refusal of refusals)
      t.strictSame(refusal, { status: 503, retryAfter: '1', code: 'queue_full' });
    const again = post(url, agent);
    await database.query('rollback');
    t.match(await Promise.all([first, second]), [{ status: 200 }, { status: 200 }]);
    await again;
    await until(async () => (await post(url, agent)).status === 200);
  },
);

t.test('refused requests are not counted, and reads continue', async (t) => {
  const app = await testApp(t, { COUNTER_QUEUE_MAX: '1', DEMOS: 'false' });
  const url = await app.listen({ port: 0 });
  const agent = new Agent({ keepAlive: true });
  const answers = await Promise.all(Array.from({ length: 200 }, () => post(url, agent)));
  const counted = answers.filter(({ status }) => status === 200).length;
  t.ok(answers.every(({ status }) => status === 200 || status === 503));
  t.equal((await app.inject('/counters/likes')).json().value, counted);
});

/** Sends through node:http, whose agent determines the connection. */
function post(url: string, agent: Agent, body = ''): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = body ? { 'content-type': 'application/json', 'content-length': body.length } : {};
  const sent = request(`${url}/counters/likes/increments`, { method: 'POST', agent, headers }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => (text += part));
    response.on('end', () => {
      const { code } = JSON.parse(text) as { code?: string };
      const retryAfter = response.headers['retry-after'];
      resolve({ status: response.statusCode, retryAfter, ...(code ? { code } : {}) });
    });
  });
  sent.on('error', reject);
  sent.end(body);
  return promise;
}
