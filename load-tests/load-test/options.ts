import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../src/errors/caught.ts';
import type { Load } from './subjects.ts';

export interface Options {
  /** Calls of each endpoint. */
  amount: number;
  load: Load;
  /** Calls of each strategy, at each of these contentions. */
  requests: number;
  contention: number[];
  url: string | undefined;
  out: string;
}

export const USAGE = `Usage: npm run load-test -- [options]
  --amount N        calls of each endpoint, 1 to 10000 (default 40)
  --connections N   calls of an endpoint at the same time, 1 to 256 (default 4)
  --workers N       workers of each call, 1 to 64 (default 2)
  --increments N    increments of each worker, 1 to 1000 (default 25)
  --requests N      calls of each strategy, 2 to 100000 (default 400)
  --contention LIST how many callers at the same time, one after another (default 1,2,4,8,16,32)
  --url URL         a service that is running; default: one of its own, with a fresh database
  --out FOLDER      where to write report.html, pictures and results.json (default load-tests/results)`;

/** A command line that cannot be understood; the message says what is allowed. */
export class UsageError extends Error {}

const names = [
  'amount',
  'connections',
  'workers',
  'increments',
  'requests',
  'contention',
  'url',
  'out',
] as const;

/** @throws {UsageError} */
export function readOptions(args: string[]): Options {
  const values = parse(args);
  const number = (name: (typeof names)[number], fallback: number, min: number, max: number): number =>
    whole(name, values[name] ?? String(fallback), min, max);
  const { url } = values;
  if (url !== undefined && !/^https?:/.test(URL.parse(url)?.protocol ?? '')) {
    throw new UsageError(
      `--url is "${url}"; allowed: the address of a service, such as http://127.0.0.1:3000`,
    );
  }
  return {
    amount: number('amount', 40, 1, 10_000),
    load: {
      connections: number('connections', 4, 1, 256),
      workers: number('workers', 2, 1, 64),
      increments: number('increments', 25, 1, 1000),
    },
    requests: number('requests', 400, 2, 100_000),
    contention: wholes('contention', values.contention ?? '1,2,4,8,16,32', 1, 256),
    url,
    out: resolve(values.out ?? 'load-tests/results'),
  };
}

/** @throws {UsageError} that names what is allowed */
export function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError(`--${name} is "${text}"; allowed: ${min} to ${max}`);
}

/** As `whole`, for a list with commas in between. @throws {UsageError} */
export const wholes = (name: string, text: string, min: number, max: number): number[] =>
  text.split(',').map((one) => whole(name, one, min, max));

/** Says how a command is used, if that was the mistake, and sets the exit code. @returns whether it was */
export function toldUsage(error: unknown, usage: string): boolean {
  if (!(error instanceof UsageError)) return false;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
  return true;
}

function parse(args: string[]): Partial<Record<(typeof names)[number], string>> {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  return parsed(() => parseArgs({ args, options }).values);
}

/** @throws {UsageError} when `read` does not understand the command line */
export function parsed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}
