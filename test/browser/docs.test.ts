import t from 'tap';
import { testApp } from '../helper.ts';
import { skip, testBrowser, watchedPage } from './browser.ts';

t.test(
  '"Try it out" works in a browser, under the security headers, without another host',
  { skip },
  async (t) => {
    const app = await testApp(t);
    const url = await app.listen({ port: 0 });
    const { page, complaints, hosts } = await watchedPage(await testBrowser(t));

    await page.goto(`${url}/docs`);
    for (const path of ['/init', '/2th-plock']) {
      const operation = page.locator('.opblock-post', { has: page.locator(`[data-path="${path}"]`) });
      await operation.locator('.opblock-summary-control').click();
      await operation.locator('button.execute').click();
      const answer = operation.locator('.live-responses-table .response-col_status').last();
      await answer.waitFor();
      t.match(await answer.innerText(), /200/, path);
    }
    t.match(await page.locator('.live-responses-table').last().innerText(), /"like_result": 50/);
    t.strictSame(complaints, []);
    t.strictSame([...hosts], [new URL(url).host]);
  },
);
