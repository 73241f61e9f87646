import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Link } from '../../load-tests/failover-test/cluster/link.ts';

/** An echo server behind a link. */
async function echo(t: Test): Promise<{ link: Link; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const link = new Link((server.address() as { port: number }).port);
  await link.listen(0);
  t.teardown(async () => {
    await link.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { link, sockets };
}

async function call(t: Test, { port }: Link): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {}).setEncoding('utf8');
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Sends the text, and resolves with the answer. */
async function ask(socket: Socket, text: string): Promise<unknown> {
  socket.write(text);
  const [answer] = (await once(socket, 'data')) as unknown[];
  return answer;
}

t.test('data sent during a cut arrives afterwards, in order', async (t) => {
  const { link } = await echo(t);
  const [before, other] = [await call(t, link), await call(t, link)];
  t.equal(await ask(before, 'one'), 'one');
  t.equal(await ask(other, 'other'), 'other');
  link.cut();
  let early = '';
  before.on('data', (text) => (early += String(text)));
  before.write('two');
  before.write('three');
  // A new connection is accepted and gets no answer either.
  const during = await call(t, link);
  during.on('data', (text) => (early += String(text)));
  during.write('four');
  // Meanwhile, another link of the same process carries data both ways.
  const { link: whole } = await echo(t);
  const elsewhere = await call(t, whole);
  for (let turn = 0; turn < 20; turn += 1) t.equal(await ask(elsewhere, String(turn)), String(turn));
  t.equal(early, '');
  link.heal();
  while (early.length < 'twothreefour'.length)
    await Promise.race([once(before, 'data'), once(during, 'data')]);
  t.equal(early.replace('four', ''), 'twothree');
  t.match(early, 'four');
});

t.test('a disconnect during a cut is noticed only afterwards', async (t) => {
  const { link, sockets } = await echo(t);
  const caller = await call(t, link);
  t.equal(await ask(caller, 'one'), 'one');
  const [server] = sockets;
  let closed = false;
  server?.on('close', () => (closed = true));
  link.cut();
  caller.end();
  const { link: whole } = await echo(t);
  const elsewhere = await call(t, whole);
  for (let turn = 0; turn < 20; turn += 1) t.equal(await ask(elsewhere, String(turn)), String(turn));
  t.equal(closed, false);
  link.heal();
  if (server && !closed) await once(server, 'close');
  t.ok(closed);
});

t.test('a connection to a target that has ended is closed', async (t) => {
  const { link, sockets } = await echo(t);
  const caller = await call(t, link);
  t.equal(await ask(caller, 'one'), 'one');
  sockets[0]?.destroy();
  await once(caller, 'close');
  t.ok(caller.destroyed);
});
