import { setTimeout } from 'node:timers/promises';
import { codeOf, messageOf } from './errors/caught.ts';
import { StartupError } from './errors/startup-error.ts';
import type { Close } from './service.ts';

/** The maximum time from the signal to the end of the process, in milliseconds. */
const CLOSE_MS_MAX = 9500;

/** How long to wait for a start that is in progress before its resources are closed, in milliseconds. */
const START_MS_MAX = 2000;

/** The third or a later signal ends the process at once if it arrives this long after the first one, in milliseconds. */
const FORCED_END_MS = 2000;
const FORCED_END_SIGNALS = 3;

const opened: Close[] = [];
const ending = new AbortController();
let exitCode = 0;
let signals = 0;
let firstSignalAt = 0;

// Handlers are set before the rest is loaded, which takes most of a second: a process with the id 1, as in a container,
// is not ended by a signal without a handler.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => handleSignal(signal));
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error) => {
    console.error(error);
    exitCode = 1;
    void end();
  });
}

const started = process.argv.length > 2 ? handleArguments(process.argv.slice(2)) : start();
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

async function handleArguments(args: string[]): Promise<void> {
  if (args.length === 1 && (args[0] === '--help' || args[0] === '-h')) {
    const { usage } = await import('./config.ts');
    console.log(usage);
    return;
  }
  console.error(`unknown argument ${args.join(' ')}; see --help`);
  process.exitCode = 1;
}

/** A second signal is ignored: a terminal or a supervisor signals the whole group, and npm forwards the signal again. */
function handleSignal(signal: NodeJS.Signals): void {
  signals += 1;
  firstSignalAt ||= performance.now();
  if (signals === 1) void end();
  else if (signals >= FORCED_END_SIGNALS && performance.now() - firstSignalAt > FORCED_END_MS) {
    console.error(`${signal} received again: ended without closing`);
    process.exit(1);
  }
}

/** Closes everything that is open, and ends the process. */
async function end(): Promise<void> {
  if (ending.signal.aborted) return;
  ending.abort();
  void setTimeout(CLOSE_MS_MAX).then(() => {
    console.error(`not closed within ${CLOSE_MS_MAX} ms: ended without closing`);
    process.exit(1);
  });
  await Promise.race([started, setTimeout(START_MS_MAX)]);
  await closeAll();
  process.exit(exitCode);
}

/** Closes in the reverse order of opening. An error does not prevent the others from being closed. */
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
