import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type axe from 'axe-core';
import type { Page } from 'playwright-core';
import t from 'tap';
import { testApp, until } from '../helper.ts';
import { skip, testBrowser, watchedPage } from './browser.ts';

const FIRST_PAINT_BYTES_MAX = 80_000;

/** Makes the page show everything that it can: a verdict, charts, the matrix, a cell, the evidence of a lab. */
async function showAll(page: Page): Promise<void> {
  await page.getByLabel('Likes each').fill('25');
  await page.getByRole('button', { name: 'Race' }).click();
  await page.locator('#verdict', { hasText: 'kept every like' }).waitFor();
  await page.locator('#isolation').scrollIntoViewIfNeeded();
  await page.getByText(/56 cells just run/).waitFor();
  await page.getByRole('button', { name: 'Write skew at repeatable read: possible' }).click();
  await page.locator('#cell .timeline').waitFor();
  await page.getByRole('button', { name: 'Run Frozen' }).click();
  await page.locator('[data-name="freeze/frozen"] .timeline').first().waitFor();
}

const AXE = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })`;

t.test('the page is accessible, small and usable by keyboard', { skip }, async (t) => {
  const app = await testApp(t, { DEMO_RATE_LIMIT: '0' });
  const url = await app.listen({ port: 0 });
  const browser = await testBrowser(t);

  t.test('axe finds no violation and nothing overflows, light and dark, from 360 to 1600 px', async (t) => {
    const { page, errors } = await watchedPage(browser);
    await page.goto(`${url}/#race-form`);
    await showAll(page);
    // Evaluated through the debugger: the content security policy of the page allows no other script.
    await page.evaluate(await readFile(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8'));
    for (const [colorScheme, width] of [
      ['light', 1600],
      ['dark', 1024],
      ['dark', 360],
      ['light', 360],
    ] as const) {
      const what = `${colorScheme}, ${width} px`;
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await until(async () => (await page.evaluate('document.documentElement.scrollWidth')) === width);
      const { violations } = await page.evaluate<axe.AxeResults>(AXE);
      const found = violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
      t.strictSame(found, [], what);
    }
    t.strictSame(errors, []);
  });

  t.test('the first paint takes less than 80 kB', async (t) => {
    const { page } = await watchedPage(browser);
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    let bytes = 0;
    session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
    const paths: string[] = [];
    page.on('request', (request) => paths.push(new URL(request.url()).pathname));
    // At the counter, since the race and the matrix run when they come into view.
    await page.goto(`${url}/#counter`, { waitUntil: 'load' });
    t.ok(bytes > 10_000 && bytes < FIRST_PAINT_BYTES_MAX, `${bytes} bytes`);
    t.comment(`${paths.length} requests, ${bytes} bytes`);
  });

  t.test('the page can be used by keyboard alone', async (t) => {
    const { page } = await watchedPage(browser);
    await page.goto(`${url}/#race-form`);
    await page.locator('[data-strategy]').first().waitFor();
    await page.evaluate('document.activeElement.blur(); scrollTo(0, 0)');
    await page.getByLabel('Likes each').focus();
    await page.keyboard.type('25');
    await page.keyboard.press('Tab');
    t.equal(await page.evaluate('document.activeElement.textContent'), 'Race');
    await page.getByRole('button', { name: 'lost update', exact: true }).press('Enter');
    t.match(
      await page.getByRole('status').filter({ hasText: 'The second write overwrites the first' }).innerText(),
      /Two writers read/,
    );
    await page.keyboard.press('Escape');
    t.equal(await page.locator('#tip').isVisible(), false);
  });
});
