import type { Options } from './option.ts';

/** The description of a command in its usage. */
export interface Description<O extends Options> {
  /** The name, as in `npm run name`. */
  name: string;
  /** What it does; one or more lines. */
  about: string;
  options: O;
  /** The environment variables that it reads, and what each is for. */
  variables: Record<string, string>;
}

/** The usage of a command: what it does, its options with their defaults, and the variables that it reads. */
export function usage({ name, about, options, variables }: Description<Options>): string {
  const all = Object.entries(options);
  const [, operand] = all.find(([, option]) => option.operand) ?? [];
  // The name with which it was called: in the container image, without npm.
  const called = process.env.npm_lifecycle_event ? `npm run ${name} --` : name;
  const named = all
    .filter(([, option]) => option !== operand)
    .map(([key, { value, about: what, default: byDefault }]): [string, string] => [
      value ? `--${key} ${value}` : `--${key}`,
      byDefault === undefined ? what : `${what} (default ${byDefault})`,
    ]);
  const help: [string, string] = ['--help', 'prints this help'];
  return [
    `Usage: ${[called, operand?.value, '[options]'].filter(Boolean).join(' ')}`,
    about,
    `\nOptions:\n${columns([...named, help])}`,
    `\nEnvironment:\n${columns(Object.entries(variables))}`,
  ].join('\n');
}

function columns(lines: [string, string][]): string {
  if (lines.length === 0) return '  none';
  const width = Math.max(...lines.map(([left]) => left.length));
  return lines.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}
