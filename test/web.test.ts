import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import t from 'tap';
import { CHECKOUT, testApp } from './helper.ts';

const app = await testApp(t);
const names = await readdir(join(CHECKOUT, 'src/web/public'));

t.test('every file of the page is served, with its type, and asked for again each time', async (t) => {
  const types = {
    html: 'text/html; charset=utf-8',
    css: /^text\/css/,
    js: /^text\/javascript/,
    svg: /^image\/svg/,
  };
  for (const name of [...names, 'echarts.js']) {
    const path = name === 'index.html' ? '/' : `/page/${name}`;
    const type = types[name.split('.').at(-1) as keyof typeof types];
    t.match(
      await app.inject(path),
      { statusCode: 200, headers: { 'cache-control': 'no-cache', 'content-type': type } },
      name,
    );
  }
});

const ask = (headers: Record<string, string>) => app.inject({ url: '/page/main.js', headers });

t.test('it is compressed as was asked for, and not sent again to who has it', async (t) => {
  const plain = await ask({});
  const brotli = await ask({ 'accept-encoding': 'gzip, deflate, br' });
  const gzip = await ask({ 'accept-encoding': 'br;q=0, gzip' });
  t.equal(plain.headers['content-encoding'], undefined);
  t.equal(brotliDecompressSync(brotli.rawPayload).toString(), plain.body);
  t.equal(gunzipSync(gzip.rawPayload).toString(), plain.body);
  const etags = [plain, brotli, gzip].map(({ headers }) => headers.etag);
  t.equal(new Set(etags).size, 3, 'different bytes have different tags');
  const again = await ask({ 'accept-encoding': 'br', 'if-none-match': String(brotli.headers.etag) });
  t.match(again, { statusCode: 304, body: '' });
});

t.test('the page allows no script and no style but its own files', async (t) => {
  const { headers, body } = await app.inject('/');
  t.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'; style-src 'self'/);
  t.notMatch(headers['content-security-policy'], /unsafe|https?:/);
  t.notMatch(body, /<script>|<style|style=|https?:\/\//);
});

t.test('nothing but its files can be asked for', async (t) => {
  for (const path of ['/page/', '/page/index.html', '/page/..%2froutes.ts', '/page/%2e%2e/routes.ts']) {
    t.equal((await app.inject(path)).statusCode, 404, path);
  }
});
