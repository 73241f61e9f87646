import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { boundedServer, type ConnectionBounds, connectionBounds } from '../../src/http/connections.ts';
import { handleClientError, handleErrors } from '../../src/http/error-handler.ts';
import { getJson, testApp, testDatabase, until } from '../helper.ts';
import { slow } from '../pace.ts';

const LARGE = Buffer.alloc(1_000_000, 'x');

/** Counts requests: in progress now, in progress at most, and in all. */
class Load {
  now = 0;
  most = 0;
  all = 0;
}

async function served(t: Test, bounds: Partial<ConnectionBounds>, load = new Load()) {
  const app: FastifyInstance = Fastify({
    serverFactory: boundedServer({ ...connectionBounds, checkMs: 20, ...bounds }),
    clientErrorHandler: handleClientError,
  });
  handleErrors(app);
  app.addHook('onRequest', (_request, reply, done) => {
    load.now += 1;
    load.all += 1;
    load.most = Math.max(load.most, load.now);
    reply.raw.prependOnceListener('close', () => (load.now -= 1));
    done();
  });
  app.get('/number/:n', async ({ params }) => params);
  app.get('/large', (_request, reply) => reply.send(LARGE));
  app.get('/quiet', async (_request, reply) => {
    await once(app.server, 'made');
    return reply.header('connection', 'close').send({});
  });
  app.get('/last', (_request, reply) => reply.header('connection', 'close').send({}));
  app.post('/echo', async ({ body }) => body);
  t.teardown(() => app.close());
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  return { app, url, open: () => opened(t, url) };
}

function opened(t: Test, url: string): Socket {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  t.teardown(() => void socket.destroy());
  return socket;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
const post = 'POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';

t.test('pipelined requests are served one at a time, in order', async (t) => {
  const load = new Load();
  const { open } = await served(t, {}, load);
  const socket = open();
  const numbers = Array.from({ length: 3000 }, (_, n) => n);
  // The body of the last one is in a separate packet, which is read when it is its turn.
  socket.write(numbers.map((n) => get(`/number/${n}`)).join('') + `${post}content-length: 10\r\n\r\n`);
  await until(async () => load.all > 2000);
  socket.end('{"last":1}');
  const answers = (await text(socket)).matchAll(/^\{"(?:n|last)":"?(\d+)"?\}/gm);
  t.strictSame(
    [...answers].map(([, n]) => Number(n)),
    [...numbers, 1],
  );
  t.equal(load.most, 1);
});

t.test('after an answer that closes the connection, no further request is served', async (t) => {
  const load = new Load();
  const { open } = await served(t, {}, load);
  const socket = open();
  socket.write(get('/last') + get('/number/1').repeat(10));
  t.match(await text(socket), /^HTTP\/1.1 200 OK(?!.*HTTP)/s);
  t.equal(load.all, 1);
});

t.test(
  'a client that reads no answers costs one buffered answer, delays no other client, and is disconnected',
  async (t) => {
    const load = new Load();
    const { app, url, open } = await served(t, { stalledMsMax: slow(300) }, load);
    const connected = once(app.server, 'connection') as Promise<[Socket]>;
    const socket = open();
    socket.pause();
    socket.write(get('/large').repeat(1500));
    const [serverSide] = await connected;
    await until(async () => serverSide.writableLength > 0);
    t.match(await getJson(`${url}/number/1`), { status: 200, n: '1' });
    // The kernel's buffers take a few of them.
    t.ok(load.all < 30, `${load.all} of 1,500 were served`);
    t.ok(serverSide.writableLength <= LARGE.length + 1000, `${serverSide.writableLength} bytes wait`);
    if (!serverSide.destroyed) await once(serverSide, 'close');
    await until(async () => load.now === 0);
  },
);

t.test('a slow answer is not cut off', async (t) => {
  const { app, open } = await served(t, { stalledMsMax: slow(50) });
  const socket = open();
  socket.write(get('/quiet'));
  await once(app.server, 'timeout');
  app.server.emit('made');
  t.match(await text(socket), /^HTTP\/1.1 200 /);
});

t.test('a connection on which nothing is sent is closed without an answer', async (t) => {
  const { open } = await served(t, { headersMsMax: 50 });
  t.equal(await text(open()), '');
});

t.test('slow headers and bodies are answered with 408, and the connection is closed', async (t) => {
  const { app, open } = await served(t, { headersMsMax: 50, requestMsMax: 100 });
  for (const begun of ['GET / HTTP/1.1\r\nhost: loc', `${post}content-length: 10\r\n\r\n{`]) {
    const connected = once(app.server, 'connection') as Promise<[Socket]>;
    const socket = open();
    socket.write(begun);
    const [serverSide] = await connected;
    const closed = once(serverSide, 'close');
    // The client keeps its side open.
    t.match(await text(socket), /^HTTP\/1.1 408 .*"request_too_slow"/s);
    await closed;
  }
});

t.test('an idle keep-alive connection is closed', async (t) => {
  const { open } = await served(t, { idleMsMax: 50 });
  const socket = open();
  socket.write(get('/number/1'));
  t.match(await text(socket), /^HTTP\/1.1 200 /);
});

t.test('the service sets the bounds of its connections', async (t) => {
  const { server } = await testApp(t, { DEMOS: 'false' }, await testDatabase(t));
  t.match(server, {
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    timeout: 30_000,
    keepAliveTimeout: 72_000,
  });
});
