import t from 'tap';
import { testApp } from '../helper.ts';
import { skip, testBrowser, watchedPage } from './browser.ts';

t.test('two tabs show each other’s likes, and the page shows how long a burst takes', { skip }, async (t) => {
  const app = await testApp(t);
  const url = await app.listen({ port: 0 });
  const browser = await testBrowser(t);
  const [one, other] = [await watchedPage(browser), await watchedPage(browser)];
  for (const { page } of [one, other]) await page.goto(`${url}/#counter`);
  await one.page.locator('#counter-value', { hasText: /^0$/ }).waitFor();

  await one.page.getByRole('button', { name: 'Like', exact: true }).click();
  await one.page.getByText('Your like was counted: number 1.').waitFor();
  await other.page.locator('#counter-value', { hasText: /^1$/ }).waitFor();

  await other.page.getByRole('button', { name: 'Send 500 likes' }).click();
  await other.page.getByText(/^500 likes counted in/).waitFor();
  await one.page.locator('#counter-value', { hasText: /^501$/ }).waitFor();
  const [likes, requests, commits] = await other.page.locator('#spent dd').allInnerTexts();
  t.strictSame([likes, requests], ['500', '50']);
  t.ok(Number(commits) >= 1 && Number(commits) <= 50, `${commits} commits`);

  await one.page.getByLabel('Counter', { exact: true }).fill('Ünï/code?');
  await one.page.getByLabel('Counter', { exact: true }).press('Enter');
  await one.page.locator('#counter-value', { hasText: /^0$/ }).waitFor();
  await one.page.getByRole('button', { name: 'Like', exact: true }).click();
  await one.page.locator('#counter-value', { hasText: /^1$/ }).waitFor();
  t.match(await (await fetch(`${url}/counters/${encodeURIComponent('Ünï/code?')}`)).json(), { value: 1 });
  t.strictSame([...one.errors, ...other.errors], []);
});

t.test('a temporary refusal is shown, and the increment is sent again with its key', { skip }, async (t) => {
  const app = await testApp(t);
  const url = await app.listen({ port: 0 });
  const { page } = await watchedPage(await testBrowser(t));
  const keys: (string | undefined)[] = [];
  let refusals = 2;
  await page.route('**/increments', async (route) => {
    keys.push(route.request().headers()['idempotency-key']);
    if (refusals-- <= 0) return route.continue();
    const body = JSON.stringify({ status: 503, code: 'queue_full', title: 'Too many' });
    await route.fulfill({ status: 503, contentType: 'application/problem+json', body });
  });
  await page.goto(`${url}/#counter`);
  await page.getByRole('button', { name: 'Send 500 likes' }).click();
  await page.getByText(/^500 likes counted in/).waitFor();
  await page.getByText(/2 requests had to be retried, with the same key/).waitFor();
  t.equal(keys.length, 52);
  t.equal(new Set(keys).size, 50);
  t.match(await (await fetch(`${url}/counters/demo`)).json(), { value: 500 }, 'nothing counted twice');
});

t.test('if the service has a token, the page asks for it once and keeps it', { skip }, async (t) => {
  const app = await testApp(t, { API_TOKEN: 'a-token-of-24-characters' });
  const url = await app.listen({ port: 0 });
  const { page } = await watchedPage(await testBrowser(t));
  await page.goto(`${url}/#counter`);
  const like = page.getByRole('button', { name: 'Like', exact: true });
  const dialog = page.getByRole('dialog', { name: 'This service requires a token' });
  await like.click();
  await dialog.getByRole('button', { name: 'Not now' }).click();
  await page.getByText('Changes require a token that this service accepts.').waitFor();
  await like.click();
  await dialog.getByLabel('Token').fill('a-token-of-24-characters');
  await dialog.getByLabel('Token').press('Enter');
  await page.getByText('Your like was counted: number 1.').waitFor();
  await page.reload();
  await like.click();
  await page.getByText('Your like was counted: number 2.').waitFor();
});
