import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { CHROMIUM } from '../../load-tests/shared/chromium.ts';
import { slow } from '../pace.ts';

/** The option `skip` of `t.test`: false, or why the browser tests cannot run here. */
export const skip: false | string = existsSync(CHROMIUM)
  ? false
  : `there is no browser at ${CHROMIUM}: install one (apt-get install chromium-headless-shell) or set CHROMIUM`;

/** A browser that sends no background requests, so that only the page causes traffic. */
export async function testBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Chromium's sandbox does not work for root, nor in most containers; it opens only pages of this project.
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  });
  t.teardown(() => browser.close());
  return browser;
}

export interface Watched {
  page: Page;
  /** Errors on the console, including violations of the content security policy, and errors thrown by scripts. */
  errors: string[];
  /** The hosts to which the page sent requests. */
  hosts: Set<string>;
}

/** A page in a separate browser context, watched from its first request on. */
export async function watchedPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(slow(30_000));
  const errors: string[] = [];
  const hosts = new Set<string>();
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  return { page, errors, hosts };
}
