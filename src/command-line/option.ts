import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../errors/caught.ts';

/** An invalid command line; the message says what is allowed. */
export class UsageError extends Error {}

/** One option of a command. */
export interface Option<T> {
  /** The placeholder of its value in the usage, such as `N`; undefined: a flag without a value. */
  value?: string;
  about: string;
  /** The allowed values, in words, for the error message. */
  allowed?: string;
  /** The default, as it would be typed; undefined: none. */
  default?: string;
  /** Whether it is the command's one required operand, given without `--name`. */
  operand?: boolean;
  /** @returns undefined if the value is not allowed */
  read: (text: string) => T | undefined;
}

export type Options = Record<string, Option<unknown>>;

/** The value of each option: as given, or the default. */
export type Given<O extends Options> = { [name in keyof O]: O[name] extends Option<infer T> ? T : never };

export const flag = (about: string): Option<boolean> => ({ about, read: () => true });

/** A whole number from `min` to `max`. */
export function whole(about: string, min: number, max: number): Option<number | undefined>;
export function whole(about: string, min: number, max: number, byDefault: number): Option<number>;
export function whole(about: string, min: number, max: number, byDefault?: number) {
  return {
    value: 'N',
    about: `${about}, ${min} to ${max}`,
    allowed: `${min} to ${max}`,
    ...(byDefault === undefined ? {} : { default: String(byDefault) }),
    read: (given: string) => wholeOf(given, min, max),
  };
}

/** Whole numbers from `min` to `max`, comma-separated. */
export const wholes = (about: string, min: number, max: number, byDefault: string): Option<number[]> => ({
  value: 'LIST',
  about: `${about}, each ${min} to ${max}`,
  allowed: `${min} to ${max}, with commas in between`,
  default: byDefault,
  read: (given) => {
    const all = given.split(',').map((one) => wholeOf(one, min, max));
    return all.every((one) => one !== undefined) ? all : undefined;
  },
});

/** The name of a file or folder, as `value` says: any text that is not empty. */
export function path(value: string, about: string): Option<string | undefined>;
export function path(value: string, about: string, byDefault: string): Option<string>;
export function path(value: string, about: string, byDefault?: string) {
  return {
    value,
    about,
    allowed: `the name of a ${value.toLowerCase()}`,
    ...(byDefault === undefined ? {} : { default: byDefault }),
    read: (given: string) => (given ? resolve(given) : undefined),
  };
}

/** One part of the command; undefined if it is not given: all parts. */
export function part<const T extends string>(...names: T[]): Option<T | undefined> {
  const allowed = [names.slice(0, -1).join(', '), ...names.slice(-1)].filter(Boolean).join(' or ');
  return {
    value: 'PART',
    about: `only this part: ${allowed}; by default, all parts`,
    allowed,
    read: (given) => names.find((name) => name === given),
  };
}

function wholeOf(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/**
 * Reads the options from the arguments.
 *
 * @throws {UsageError} that names the option, what was given and what is allowed
 */
export function readOptions<O extends Options>(options: O, args: string[]): Given<O> {
  const all = Object.entries(options);
  const { values, positionals } = parsed(all, args);
  const given = all.map(([name, option]) => {
    if (!option.operand) return [name, valueOf(`--${name}`, option, values[name])];
    if (positionals.length !== 1) throw new UsageError(`one ${option.value} is needed: ${option.allowed}`);
    return [name, valueOf(option.value ?? name, option, positionals[0])];
  });
  return Object.fromEntries(given) as Given<O>;
}

function valueOf(name: string, option: Option<unknown>, given: string | boolean | undefined): unknown {
  if (!option.value) return given ?? false;
  const asked = given ?? option.default;
  if (asked === undefined) return undefined;
  const value = option.read(String(asked));
  if (value === undefined) throw new UsageError(`${name} is "${asked}"; allowed: ${option.allowed}`);
  return value;
}

function parsed(all: [string, Option<unknown>][], args: string[]) {
  const named = all.filter(([, { operand }]) => !operand);
  const options = Object.fromEntries(
    named.map(([name, { value }]) => [name, { type: value ? ('string' as const) : ('boolean' as const) }]),
  );
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: named.length < all.length });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}
