import closeWithGrace from 'close-with-grace';
import { messageOf } from './caught.ts';
import { StartupError } from './startup-error.ts';

/** From the signal to the end of the process at most, in milliseconds. */
const CLOSE_MS_MAX = 9500;

// Signals are heard before the rest is loaded, which takes most of a second: as process 1 of a container we would
// not even be ended by one that nobody hears.
closeWithGrace({ delay: CLOSE_MS_MAX }, async ({ err, signal }) => {
  const { close, log } = await service;
  if (err) log.fatal({ err }, 'the service cannot go on');
  else log.info(`closing on ${signal}`);
  await close();
  log.info('closed');
});

const service = import('./service.ts').then(({ startService }) => startService());
try {
  await service;
} catch (error) {
  console.error(error instanceof StartupError ? messageOf(error) : error);
  process.exit(1);
}
