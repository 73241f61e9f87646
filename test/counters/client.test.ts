import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { CHECKOUT, testApp } from '../helper.ts';

type Increment = (url: string, name: string, by?: number, attemptsMax?: number) => Promise<number>;

const readme = await readFile(join(CHECKOUT, 'README.md'), 'utf8');
const [, code = ''] = /```js\n([^]*?)```/.exec(readme) ?? [];
const { increment } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as {
  increment: Increment;
};

t.test('the client of the README counts once, whatever happens on the way', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const fates = ['refused', 'answer lost', 'unknown', 'passed on'];
  let next = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const fate = fates[next++];
    if (fate === 'refused') return response.writeHead(503).end();
    const body = (await request.toArray()).join('');
    const { 'idempotency-key': key = '' } = request.headers;
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    const passed = await app.inject({ method: 'POST', url: request.url ?? '', headers, body });
    if (fate === 'answer lost') return response.destroy();
    return response.writeHead(fate === 'unknown' ? 504 : passed.statusCode).end(passed.body);
  };
  const front = createServer((request, response) => void answer(request, response));
  await new Promise<void>((listening) => front.listen(0, '127.0.0.1', listening));
  t.teardown(() => void front.close());
  const { port } = front.address() as { port: number };
  const url = `http://127.0.0.1:${port}`;
  t.equal(await increment(url, 'likes & more', 3), 3);
  t.equal(next, 4);
  t.equal(await increment(url, 'likes & more'), 4);
  await t.rejects(increment(url, 'likes & more', 0.5), /whole numbers/);
});
