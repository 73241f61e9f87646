import t from 'tap';
import { startService, testDatabase } from '../helper.ts';
import { skip, testBrowser, watchedPage } from './browser.ts';

t.test(
  'the page says that a killed service does not answer, and recovers by itself when it answers again',
  { skip },
  async (t) => {
    const DATABASE_URL = await testDatabase(t);
    const first = await startService(t, { DATABASE_URL });
    const { page } = await watchedPage(await testBrowser(t));
    await page.goto(`${first.url}/#counter`);
    await page.locator('#counter-value', { hasText: /^0$/ }).waitFor();

    first.child.kill('SIGKILL');
    await page.getByText('The service does not answer.').first().waitFor();
    const like = page.getByRole('button', { name: 'Like', exact: true });
    t.equal(await like.getAttribute('aria-disabled'), 'true');
    await like.click({ force: true });

    await first.ended;
    await startService(t, { DATABASE_URL, PORT: new URL(first.url).port });
    await page.getByText('The service answers again.').waitFor();
    t.equal(await like.getAttribute('aria-disabled'), null);
    await page.locator('#counter-status', { hasText: /^$/ }).waitFor();
    await like.click();
    await page.getByText('Your like was counted: number 1.').waitFor();
    await page.locator('#counter-value', { hasText: /^1$/ }).waitFor();
  },
);
