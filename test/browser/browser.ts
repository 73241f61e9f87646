import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import type { Test } from 'tap';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** What to give `t.test` as an option: false, or why the browser tests cannot run here. */
export const skip: false | string = existsSync(CHROMIUM)
  ? false
  : `there is no browser at ${CHROMIUM}: install one (apt-get install chromium) or set CHROMIUM`;

/** A browser that asks nobody but the page's own host for anything. */
export async function testBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Chromium's sandbox does not work for root, nor in most containers; the only page it opens is ours.
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  });
  t.teardown(() => browser.close());
  return browser;
}
