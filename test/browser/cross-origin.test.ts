import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { testApp } from '../helper.ts';
import { skip, testBrowser } from './browser.ts';

/** Everything that a page can send to another origin without a preflight request. */
const attack = `<!doctype html><body><script>
  addEventListener('load', async () => {
    const target = decodeURIComponent(location.hash.slice(1));
    const likes = target + '/counters/likes/increments';
    const image = (url) => new Promise((done) => {
      const img = new Image();
      img.onload = img.onerror = done;
      img.src = url;
      document.body.append(img);
    });
    const form = document.createElement('form');
    const frame = document.createElement('iframe');
    frame.name = form.target = 'answer';
    form.method = 'post';
    form.action = likes;
    document.body.append(frame, form);
    const answered = new Promise((done) => { frame.onload = frame.onerror = done; });
    form.submit();
    navigator.sendBeacon(likes);
    navigator.sendBeacon(target + '/2th', new Blob([], { type: 'text/plain' }));
    await Promise.allSettled([
      fetch(likes, { method: 'POST', mode: 'no-cors' }),
      fetch(likes, { method: 'POST', mode: 'no-cors', referrerPolicy: 'no-referrer' }),
      fetch(target + '/2th', { mode: 'no-cors' }),
      fetch(target + '/races', { method: 'POST', mode: 'no-cors' }),
      image(target + '/2th'),
      image(target + '/init'),
      answered,
    ]);
    document.title = 'done';
  });
</script>`;

const sent = [
  ['POST', '/counters/:name/increments'],
  ['POST', '/2th'],
  ['POST', '/races'],
  ['GET', '/2th'],
  ['GET', '/init'],
];

t.test('a page of another origin cannot change anything, whatever it sends', { skip }, async (t) => {
  const app = await testApp(t);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const before = (await app.inject({ method: 'POST', url: '/2th-plock' })).json<{ like_result: number }>();
  const evil = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end(attack);
  });
  await new Promise<void>((listening) => evil.listen(0, '127.0.0.1', listening));
  t.teardown(() => evil.close());
  const { port } = evil.address() as AddressInfo;
  const browser = await testBrowser(t);

  // Another port is another origin of the same site; another name is another site.
  for (const host of ['127.0.0.1', 'localhost']) {
    const page = await browser.newPage();
    await page.goto(`http://${host}:${port}/#${encodeURIComponent(url)}`);
    await page.waitForFunction(`document.title === 'done'`);
    await page.close();
  }
  t.equal((await app.inject('/counters/likes')).statusCode, 404);
  t.match((await app.inject('/check')).json(), { like_result: before.like_result });
  const counted = await app.metrics.metrics();
  for (const [method, route] of sent) {
    const line = `http_request_duration_seconds_count{method="${method}",route="${route}",status="403"}`;
    t.ok(counted.includes(line), `${method} ${route} was sent, and refused`);
  }
});
