import t from 'tap';
import { testApp } from '../helper.ts';
import { skip, testBrowser, watchedPage } from './browser.ts';

/** The result event of a race in which all 7 likes are counted. */
const resultOf = (strategy: string, verdict: string) => ({
  strategy,
  verdict,
  holds: verdict === 'inconclusive' ? null : true,
  attempted: 7,
  acknowledged: 7,
  final: 7,
  lost: 0,
  conflicts: 0,
  retries: 0,
  increments_per_second: 1,
});

t.test('the demonstrations on the page', { skip }, async (t) => {
  const app = await testApp(t, { DEMO_RATE_LIMIT: '0' });
  const url = await app.listen({ port: 0 });
  const browser = await testBrowser(t);

  t.test('on the first visit, the page shows a lost update and its cause without any input', async (t) => {
    const { page, errors, hosts } = await watchedPage(browser);
    await page.goto(url);
    await page.getByRole('heading', { name: /Both read \d+.\s*Both wrote \d+./ }).waitFor();
    t.match(
      await page.locator('#verdict').innerText(),
      /unsafe lost \d+ of 200 likes\. The other 3 kept every like/,
    );
    const loser = page.locator('[data-strategy=unsafe]');
    t.match(await loser.innerText(), /\d+ likes missing.*\d+ of 200/s);
    t.match(
      await page.locator('[data-strategy=group-commit]').innerText(),
      /Every like counted.*200 of 200/s,
    );
    const witness = page.locator('#witness .timeline');
    t.strictSame(await witness.locator('.head b').allInnerTexts(), ['worker 1', 'worker 2']);
    const steps = await witness.locator('.step b').allInnerTexts();
    t.equal(new Set(steps.filter((words) => words.startsWith('reads'))).size, 1, steps.join());
    t.equal(steps.filter((words) => words.startsWith('writes')).length, 2, steps.join());

    await page.locator('#figures').scrollIntoViewIfNeeded();
    t.match(
      await page.locator('#charts figure').nth(1).innerText(),
      /^Conflicts\s+unsafe\s+0\s.*optimistic\s+\d+/s,
    );

    await page.reload();
    await page.locator('[data-strategy]').first().waitFor();
    t.match(
      await page.locator('#verdict').innerText(),
      /^Press Race/,
      'on the second visit, the page waits for the button',
    );
    t.strictSame(errors, []);
    t.strictSame([...hosts], [new URL(url).host]);
  });

  t.test('a race of four strategies ends in a verdict, and can be run again', async (t) => {
    const { page } = await watchedPage(browser);
    await page.goto(`${url}/#labs`);
    await page.locator('[data-strategy]').first().waitFor();
    await page.getByLabel('Likes each').fill('25');
    for (let race = 1; race <= 2; race += 1) {
      await page.getByRole('button', { name: 'Race' }).click();
      await page.getByText('Racing …').waitFor();
      await page.getByText(/unsafe lost \d+ of 50 likes|All 4 kept every like/).waitFor();
    }
    t.match(await page.locator('[data-strategy=group-commit]').innerText(), /50 of 50/);
  });

  t.test('an inconclusive race is marked neither good nor bad', async (t) => {
    const { page } = await watchedPage(browser);
    const results = [resultOf('pessimistic', 'exact'), resultOf('optimistic', 'inconclusive')];
    const body = [...results.map((one) => ['result', one]), ['end', {}]]
      .map(([event, data]) => `event: ${event as string}\ndata: ${JSON.stringify(data)}\n\n`)
      .join('');
    await page.route('**/races/stream*', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body }),
    );
    await page.goto(`${url}/#race-form`);
    await page.getByRole('button', { name: 'Race' }).click();
    await page
      .getByText('optimistic ran out of time: too slow to tell. The other one kept every like.')
      .waitFor();
    const slow = page.locator('[data-strategy=optimistic] .result');
    t.match(await slow.innerText(), /^Too slow to tell · inconclusive$/);
    const colourOf = (selector: string) =>
      page.evaluate<string>(`getComputedStyle(document.querySelector('${selector}')).color`);
    t.equal(
      await colourOf('[data-strategy=optimistic] .result b'),
      await colourOf('[data-strategy=optimistic] .summary'),
    );
    t.notOk(await page.locator('#verdict').evaluate((element) => element.classList.contains('bad')));
  });

  t.test('strategies can be chosen, and the refusal of a race is explained in a sentence', async (t) => {
    const { page } = await watchedPage(browser);
    await page.goto(`${url}/#race-form`);
    for (const name of ['unsafe', 'pessimistic', 'group-commit']) {
      await page.locator(`input[value=${name}]`).uncheck();
    }
    await page.locator('input[value=optimistic-no-retry]').check();
    t.strictSame(await page.locator('.lane .name').allInnerTexts(), ['optimistic', 'optimistic-no-retry']);
    await page.getByLabel('Workers').fill('20');
    await page.getByLabel('Likes each').fill('1000');
    await page.getByRole('button', { name: 'Race' }).click();
    await page.getByText(/is 20000; allowed: up to 10000/).waitFor();
    await page.getByLabel('Workers').fill('2');
    await page.getByLabel('Likes each').fill('25');
    await page.getByRole('button', { name: 'Race again' }).click();
    await page.getByText('All 2 kept every like.').waitFor();
    t.match(
      await page.locator('[data-strategy=optimistic-no-retry]').innerText(),
      /refused, nothing lost|counted/,
    );
    t.notOk(await page.locator('#witness').isVisible(), 'without a lost update there is no witness');
  });

  t.test('strategies that lose likes sell tickets twice, and no other does', async (t) => {
    const { page, errors } = await watchedPage(browser);
    await page.goto(`${url}/#race-form`);
    await page.getByLabel('Kind of race').selectOption('tickets');
    await page.getByLabel('Buyers each').waitFor();
    await page.getByRole('button', { name: 'Race' }).click();
    await page
      .getByText(/unsafe sold \d+ tickets to \d+ buyers\. The other 3 sold no ticket twice/)
      .waitFor();
    t.match(
      await page.locator('[data-strategy=pessimistic]').innerText(),
      /Each ticket sold once.*100 of 100/s,
    );
    t.match(
      await page.locator('#witness').innerText(),
      /Why unsafe sold a ticket twice.*Two buyers got the same ticket/is,
    );
    t.strictSame(errors, []);
  });

  t.test(
    'a cell of the matrix opens its timeline, with blocked steps waiting for their blocker',
    async (t) => {
      const { page, errors } = await watchedPage(browser);
      await page.goto(`${url}/#isolation`);
      await page.getByText('56 cells just run: all as PostgreSQL documents.').waitFor();
      t.equal(await page.locator('.verdict-of').count(), 56);
      await page.getByRole('button', { name: 'Lost update at serializable: prevented' }).click();
      const cell = page.locator('#cell');
      t.match(await cell.innerText(), /^Lost update\s+serializable: prevented/);
      t.strictSame(await cell.locator('.head b').allInnerTexts(), ['T1', 'T2']);
      t.match(
        await cell.locator('.blocked').innerText(),
        /tries to write 11.*waits [\d.]+ ms for T1.*refused: 40001/s,
      );
      await cell.getByRole('button', { name: '40001' }).click();
      t.match(
        await page.locator('#tip').innerText(),
        /Retry the whole transaction/,
        'the page explains the code',
      );
      await page.keyboard.press('Escape');
      t.notOk(await page.locator('#tip').isVisible());
      t.strictSame(errors, []);
    },
  );

  t.test('a lab shows its verdict, its evidence and the cure', async (t) => {
    const { page, errors } = await watchedPage(browser);
    await page.goto(`${url}/#labs`);
    await page.getByRole('tab', { name: /Freeze/ }).press('ArrowLeft');
    t.equal(
      await page.locator('[aria-selected=true]').innerText(),
      'Isolation3',
      'the arrow keys wrap around the tabs',
    );
    await page.getByRole('tab', { name: /Traps/ }).click();
    await page.getByRole('button', { name: 'Run Batched flush' }).click();
    const experiment = page.locator('[data-name="traps/batched-flush"]');
    await experiment.getByText('Holds: the trap exists, and the guard avoids it.').waitFor();
    t.match(await experiment.locator('.cure').innerText(), /useBatchUpdates: false/);
    t.strictSame(await experiment.locator('.part h4').allTextContents(), ['trap', 'guard']);
    t.match(await experiment.locator('.blocked').first().innerText(), /waits [\d.]+ ms for/);

    await page.getByRole('tab', { name: /State/ }).click();
    await page.getByRole('button', { name: 'Run all 5' }).click();
    await page.locator('#panel-state .seen[data-holds=true]').nth(4).waitFor();

    await page.getByRole('tab', { name: /Session/ }).click();
    await page.getByRole('button', { name: 'Run Read your writes' }).click();
    await page.getByText('Not supported here: needs a standby.').waitFor();
    t.strictSame(errors, []);
  });
});
