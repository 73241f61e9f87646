import { existsSync } from 'node:fs';

/** Has no windows to draw: it takes half of the time that the whole browser takes. */
const SHELL = '/usr/bin/chromium-headless-shell';

/** The browser: `CHROMIUM`, or the one that Debian installs. It may not be there. */
export const CHROMIUM = process.env.CHROMIUM ?? (existsSync(SHELL) ? SHELL : '/usr/bin/chromium');
