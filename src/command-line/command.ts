import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { type Given, type Options, readOptions, UsageError } from './option.ts';
import { progress } from './progress.ts';
import { type Description, usage } from './usage.ts';

export interface Command<O extends Options> extends Description<O> {
  /**
   * Does it.
   *
   * @param signal aborted by Ctrl-C: clean up, and throw its reason
   * @returns whether everything is as it must be; null: that could not be told in the time
   */
  run: (given: Given<O>, signal: AbortSignal) => Promise<boolean | null>;
}

/**
 * Runs a command with the arguments of this process. The exit code is 0 when everything is as it must be, 1 when it is
 * not or the command failed, 2 when the command line is not understood, 3 when there was not time enough to tell, and 130
 * after Ctrl-C. With `--help` it only
 * says how it is used.
 */
export async function runCommand<O extends Options>(command: Command<O>): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return console.log(usage(command));
  const interrupted = new AbortController();
  // Each time: under npm, Ctrl-C comes from the terminal and from npm, and the second one is not impatience.
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
      console.error(`${command.name}: ${whyOf(error)}`);
      process.exitCode = 1;
    }
  }
}

/** One line, with the cause where the message does not tell it. An error of the start tells what is allowed, in full. */
function whyOf(error: unknown): string {
  if (error instanceof StartupError) return error.message;
  const why = lineOf(error);
  const cause = error instanceof Error && error.cause ? lineOf(error.cause) : '';
  return why.includes(cause) ? why : `${why}: ${cause}`;
}

/** An error of several addresses has a code and no message. */
const lineOf = (error: unknown): string =>
  (messageOf(error) || codeOf(error) || 'failed').split('\n')[0] ?? '';
