import { setTimeout } from 'node:timers/promises';
import closeWithGrace from 'close-with-grace';
import { messageOf } from './errors/caught.ts';
import type { Close } from './service.ts';
import { StartupError } from './errors/startup-error.ts';

/** From the signal to the end of the process at most, in milliseconds. */
const CLOSE_MS_MAX = 9500;

/** How long a start that is under way is waited for before what it has opened is closed again. */
const START_MS_MAX = 2000;

const opened: Close[] = [];
let closing = false;

// Signals are heard before the rest is loaded, which takes most of a second: as process 1 of a container we would
// not even be ended by one that nobody hears.
const grace = closeWithGrace({ delay: CLOSE_MS_MAX, skip: ['SIGINT'] }, async ({ err }) => {
  closing = true;
  if (err) console.error(err);
  await Promise.race([started, setTimeout(START_MS_MAX)]);
  await closeAll();
});
// Ctrl-C comes twice under npm, from the terminal and from npm: the second one is not impatience.
process.on('SIGINT', () => {
  if (!closing) grace.close();
});

const started = import('./service.ts')
  .then(({ startService }) => startService(opened))
  .catch(async (error: unknown) => {
    if (closing) return;
    await closeAll();
    console.error(error instanceof StartupError ? messageOf(error) : error);
    process.exit(1);
  });
await started;

/** What is open, innermost first. */
async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).toReversed()) await close();
}
