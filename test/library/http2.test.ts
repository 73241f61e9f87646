import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import counters from '../../src/library/fastify.ts';
import { testClient, testDatabase, until } from '../helper.ts';

/** An application over HTTP/2 with the counter `likes`, and a connection to it. */
async function application(t: Test, queueMax: number) {
  const databaseUrl = await testDatabase(t);
  const app = Fastify({ http2: true });
  t.teardown(() => app.close());
  await app.register(counters, { connectionString: databaseUrl, queueMax, routes: { onRequest: [] } });
  await app.listen({ port: 0, host: '127.0.0.1' });
  await app.counters.increment('likes');
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  t.teardown(() => session.close());
  return {
    app,
    session,
    database: await testClient(t, databaseUrl),
    observer: await testClient(t, databaseUrl),
  };
}

const post = (session: ClientHttp2Session, name: string): ClientHttp2Stream =>
  session.request({ ':method': 'POST', ':path': `/counters/${name}/increments` }).resume();

const statusOf = async (stream: ClientHttp2Stream): Promise<unknown> =>
  ((await once(stream, 'response')) as [{ ':status'?: number }])[0][':status'];

const LOCK = 'begin; lock table safe_counters.counters in exclusive mode';

const LOCKED = `
  select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

t.test(
  'over HTTP/2, a full queue refuses requests, and further ones on the connection are counted',
  async (t) => {
    const { session, database } = await application(t, 1);
    await database.query(LOCK);
    const statuses: unknown[] = [];
    const answers = Array.from({ length: 10 }, async () => {
      statuses.push(await statusOf(post(session, 'likes')));
    });
    await until(async () => statuses.length >= 8);
    t.ok(statuses.every((status) => status === 503));
    await database.query('rollback');
    await Promise.all(answers);
    t.match(statuses.slice(-1), [200]);
    t.equal(await statusOf(post(session, 'likes')), 200);
  },
);

t.test('over HTTP/2, a request whose client left before its batch began is not counted', async (t) => {
  const { app, session, database, observer } = await application(t, 100);
  await database.query(LOCK);
  const first = statusOf(post(session, 'likes'));
  await until(async () => (await observer.query(LOCKED)).rowCount === 1);
  const received = once(app.server, 'stream') as Promise<[ServerHttp2Stream]>;
  const leaving = post(session, 'left');
  const [stream] = await received;
  await until(async () => app.counters.load.waiting === 1);
  const closed = once(stream, 'close');
  leaving.close();
  await closed;
  await database.query('rollback');
  t.equal(await first, 200);
  t.equal(await statusOf(post(session, 'likes')), 200);
  t.equal(await app.counters.read('left'), undefined);
});
