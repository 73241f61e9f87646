import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import t from 'tap';
import { CHECKOUT, testApp } from './helper.ts';

const app = await testApp(t);
const names = await readdir(join(CHECKOUT, 'src/web/public'));

t.test('every file of the page is served with its type, and revalidated each time', async (t) => {
  const types = {
    html: 'text/html; charset=utf-8',
    css: /^text\/css/,
    js: /^application\/javascript/,
    svg: /^image\/svg/,
  };
  for (const name of names) {
    const path = name === 'index.html' ? '/' : `/page/${name}`;
    const type = types[name.split('.').at(-1) as keyof typeof types];
    t.match(
      await app.inject(path),
      { statusCode: 200, headers: { 'cache-control': 'public, max-age=0', 'content-type': type } },
      name,
    );
  }
});

const ask = (headers: Record<string, string>) => app.inject({ url: '/page/main.js', headers });

t.test('a file is compressed as the client accepts, and not sent again if unchanged', async (t) => {
  const plain = await ask({});
  const brotli = await ask({ 'accept-encoding': 'gzip, deflate, br' });
  const gzip = await ask({ 'accept-encoding': 'br;q=0, gzip' });
  t.match(plain.headers, { 'content-encoding': undefined });
  t.match(brotli.headers, { 'content-encoding': 'br', vary: /accept-encoding/i });
  t.equal(brotliDecompressSync(brotli.rawPayload).toString(), plain.body);
  t.equal(gunzipSync(gzip.rawPayload).toString(), plain.body);
  // A weak ETag, since compressed and plain answers share it.
  t.match(plain.headers.etag, /^W\//);
  const again = await ask({ 'accept-encoding': 'br', 'if-none-match': String(brotli.headers.etag) });
  t.match(again, { statusCode: 304, body: '' });
});

t.test('HEAD is answered like GET, without the body', async (t) => {
  for (const url of ['/', '/page/main.js']) {
    const [get, head] = [await app.inject(url), await app.inject({ method: 'HEAD', url })];
    t.match(head, { statusCode: 200, body: '', headers: { 'content-type': get.headers['content-type'] } });
    t.equal(head.headers['content-security-policy'], get.headers['content-security-policy']);
  }
});

t.test('the page allows no script and no style but its own files', async (t) => {
  const { headers, body } = await app.inject('/');
  t.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'; style-src 'self'/);
  t.match(headers['content-security-policy'], /require-trusted-types-for 'script'; trusted-types 'none'/);
  t.notMatch(headers['content-security-policy'], /unsafe|https?:/);
  t.notMatch(body, /<script>|<style|style=|https?:\/\//);
});

t.test('only the files of the page are served', async (t) => {
  const folders = ['/page', '/page/', '/page/.'];
  const others = ['/page/index.html', '/page/MAIN.JS', '/page/main.js/', '/page//main.js', '/page/.env'];
  const outside = [
    '/page/../routes.ts',
    '/page/..%2froutes.ts',
    '/page/%2e%2e/routes.ts',
    '/page/..\\routes.ts',
  ];
  for (const path of [...folders, ...others, ...outside]) {
    t.equal((await app.inject(path)).statusCode, 404, path);
  }
});
