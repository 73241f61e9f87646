import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { DelayedLink } from '../../load-tests/benchmark/scale/delayed-link.ts';

/** A link to an echo server, and a connection through it. */
async function echo(t: Test) {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const link = new DelayedLink();
  const port = await link.listen((server.address() as { port: number }).port);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  t.teardown(async () => {
    socket.destroy();
    await link.close();
    server.close();
  });
  await once(socket, 'connect');
  return { link, socket };
}

t.test('an answer takes the round-trip time', async (t) => {
  const { link, socket } = await echo(t);
  link.roundTripMs = 80;
  const since = performance.now();
  socket.write('hello');
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  t.equal(chunk.toString(), 'hello');
  // Timers may be a millisecond early.
  t.ok(performance.now() - since >= 78);
});

t.test('data arrives in order, even when the delay becomes shorter meanwhile', async (t) => {
  const { link, socket } = await echo(t);
  let received = '';
  const complete = Promise.withResolvers<void>();
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString();
    if (received.length === 6) complete.resolve();
  });
  link.roundTripMs = 200;
  socket.write('abc');
  // Once another connection is open, the link, which runs in this process, has received the first data.
  const other = connect({ port: socket.remotePort ?? 0, host: '127.0.0.1' });
  t.teardown(() => void other.destroy());
  await once(other, 'connect');
  await setImmediate();
  link.roundTripMs = 0;
  socket.write('def');
  await complete.promise;
  t.equal(received, 'abcdef');
});
