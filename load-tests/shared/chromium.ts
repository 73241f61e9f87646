import { existsSync } from 'node:fs';

/** The headless shell draws no windows and takes half of the full browser's time. */
const SHELL = '/usr/bin/chromium-headless-shell';

/** The path of the browser: `CHROMIUM`, or Debian's. The file may not exist. */
export const CHROMIUM = process.env.CHROMIUM ?? (existsSync(SHELL) ? SHELL : '/usr/bin/chromium');
