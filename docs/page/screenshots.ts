import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { CHROMIUM } from '../../load-tests/shared/chromium.ts';
import { startOwnService } from '../../load-tests/shared/own-service.ts';
import { runCommand } from '../../src/command-line/command.ts';
import { print } from '../../src/command-line/progress.ts';

type Scheme = 'light' | 'dark';

const SIZES = [
  { width: 1600, height: 920 },
  { width: 360, height: 800 },
];

/** The steps that bring the page into the state of each picture. */
const VIEWS: Record<string, (page: Page) => Promise<void>> = {
  async race(page) {
    await page.locator('#witness .timeline').waitFor();
    await page.evaluate('scrollTo(0, 0)');
  },
  async figures(page) {
    await show(page, '#figures');
  },
  async isolation(page) {
    await show(page, '#isolation');
    await page.getByText(/cells just run/).waitFor();
    await page.getByRole('button', { name: 'Lost update at read committed' }).click();
    await show(page, '#cell .timeline');
    await show(page, '#isolation');
  },
  async lab(page) {
    await page.getByRole('tab', { name: /Traps/ }).click();
    await page.getByRole('button', { name: 'Run Batched flush' }).click();
    await show(page, '[data-name="traps/batched-flush"] .timeline');
    await show(page, '[data-name="traps/batched-flush"]');
  },
  async counter(page) {
    await page.getByRole('button', { name: 'Send 500 likes' }).click();
    await page.getByText(/likes counted in/).waitFor();
    await show(page, '#counter');
  },
};

async function show(page: Page, selector: string): Promise<void> {
  await page.locator(selector).first().waitFor();
  await page.evaluate(`document.querySelector('${selector}').scrollIntoView()`);
}

async function takeAll(browser: Browser, url: string, colorScheme: Scheme): Promise<void> {
  for (const viewport of SIZES) {
    const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
    const page = await context.newPage();
    await page.goto(url);
    for (const [name, prepare] of Object.entries(VIEWS)) {
      await prepare(page);
      const path = join(import.meta.dirname, `${name}-${viewport.width}-${colorScheme}.png`);
      await page.screenshot({ path });
      print(path);
    }
    await context.close();
  }
}

await runCommand({
  name: 'screenshots',
  about: `Takes pictures of the page, light and dark, wide and narrow, and writes them to docs/page.`,
  options: {},
  variables: {
    CHROMIUM: 'the browser (default /usr/bin/chromium-headless-shell, else /usr/bin/chromium)',
    DATABASE_URL: 'a database for the service; by default a fresh embedded PostgreSQL',
  },
  async run(_given, signal) {
    const service = await startOwnService();
    try {
      const browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ['--no-sandbox', '--disable-gpu'],
        handleSIGINT: false,
        handleSIGTERM: false,
      });
      const close = () => void browser.close();
      signal.addEventListener('abort', close);
      try {
        for (const scheme of ['light', 'dark'] as const) await takeAll(browser, service.url, scheme);
      } finally {
        await browser.close();
      }
    } finally {
      await service.stop();
    }
    return true;
  },
});
