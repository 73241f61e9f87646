import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { type Given, type Options, readOptions, UsageError } from './option.ts';
import { progress } from './progress.ts';
import { type Description, usage } from './usage.ts';

export interface Command<O extends Options> extends Description<O> {
  /**
   * Runs the command.
   *
   * @param signal aborted by Ctrl-C: clean up, and throw its reason
   * @returns whether all checks hold; null: inconclusive, because there was not enough time
   */
  run: (given: Given<O>, signal: AbortSignal) => Promise<boolean | null>;
}

/**
 * Runs a command with the arguments of this process. Exit codes: 0 if all checks hold, 1 if one does not or the command
 * failed, 2 for an invalid command line, 3 if the result is inconclusive, 130 after Ctrl-C. With `--help` it only prints
 * the usage.
 */
export async function runCommand<O extends Options>(command: Command<O>): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return console.log(usage(command));
  const interrupted = new AbortController();
  // Not `once`: under npm, Ctrl-C arrives twice, from the terminal and from npm, and the second one must be ignored.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  try {
    const holds = await command.run(readOptions(command.options, args), interrupted.signal);
    process.exitCode = holds === null ? 3 : holds ? 0 : 1;
  } catch (error) {
    progress();
    if (interrupted.signal.aborted) process.exitCode = 130;
    else if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${usage(command)}`);
      process.exitCode = 2;
    } else {
      console.error(`${command.name}: ${explain(error)}`);
      process.exitCode = 1;
    }
  }
}

/** The error in one line, with its cause if the message does not contain it. A StartupError is reported in full. */
function explain(error: unknown): string {
  if (error instanceof StartupError) return error.message;
  const why = lineOf(error);
  const cause = error instanceof Error && error.cause ? lineOf(error.cause) : '';
  return why.includes(cause) ? why : `${why}: ${cause}`;
}

/** The error of a connection attempt to several addresses has a code but no message. */
const lineOf = (error: unknown): string =>
  (messageOf(error) || codeOf(error) || 'failed').split('\n')[0] ?? '';
