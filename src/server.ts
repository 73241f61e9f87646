import { setTimeout } from 'node:timers/promises';
import { codeOf, messageOf } from './errors/caught.ts';
import { StartupError } from './errors/startup-error.ts';
import type { Close } from './service.ts';

/** From the signal to the end of the process at most, in milliseconds. */
const CLOSE_MS_MAX = 9500;

/** How long a start that is under way is waited for before what it has opened is closed again. */
const START_MS_MAX = 2000;

/** A signal so much later than the first one, in milliseconds, is a wish to end at once; not before the third. */
const IMPATIENT_MS = 2000;
const IMPATIENT_SIGNALS = 3;

const opened: Close[] = [];
const ending = new AbortController();
let exitCode = 0;
let signals = 0;
let firstSignalAt = 0;

// Handlers are set before the rest is loaded, which takes most of a second: a process with the id 1, as in a container,
// is not ended by a signal without a handler.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => hear(signal));
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error) => {
    console.error(error);
    exitCode = 1;
    void end();
  });
}

const started = process.argv.length > 2 ? answer(process.argv.slice(2)) : start();
await started;

async function start(): Promise<void> {
  try {
    const { startService } = await import('./service.ts');
    await startService(opened, ending.signal);
  } catch (error) {
    if (ending.signal.aborted) return;
    exitCode = 1;
    await closeAll();
    console.error(error instanceof StartupError ? messageOf(error) : error);
    if (codeOf(error) === 'ERR_MODULE_NOT_FOUND') console.error('a package is missing: run `npm ci` first');
    process.exit(exitCode);
  }
}

async function answer(args: string[]): Promise<void> {
  if (args.length === 1 && (args[0] === '--help' || args[0] === '-h')) {
    const { usage } = await import('./config.ts');
    console.log(usage);
    return;
  }
  console.error(`there is no argument ${args.join(' ')}; see --help`);
  process.exitCode = 1;
}

/** A second signal means no more than the first: a supervisor or a terminal signals the whole group, and npm forwards it. */
function hear(signal: NodeJS.Signals): void {
  signals += 1;
  firstSignalAt ||= performance.now();
  if (signals === 1) void end();
  else if (signals >= IMPATIENT_SIGNALS && performance.now() - firstSignalAt > IMPATIENT_MS) {
    console.error(`${signal} again: not closed, ended`);
    process.exit(1);
  }
}

/** Closes what is open, whatever it is, and ends the process. */
async function end(): Promise<void> {
  if (ending.signal.aborted) return;
  ending.abort();
  void setTimeout(CLOSE_MS_MAX).then(() => {
    console.error(`not closed within ${CLOSE_MS_MAX} ms, ended`);
    process.exit(1);
  });
  await Promise.race([started, setTimeout(START_MS_MAX)]);
  await closeAll();
  process.exit(exitCode);
}

/** Innermost first. What fails to close does not keep the others open. */
async function closeAll(): Promise<void> {
  for (let close = opened.pop(); close; close = opened.pop()) {
    try {
      await close();
    } catch (error) {
      console.error(error);
      exitCode = 1;
    }
  }
}
