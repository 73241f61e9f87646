import type { Options } from './option.ts';

/** The width of the usage, in columns. */
const COLUMNS = 120;

/** The description of a command in its usage. */
export interface Description<O extends Options> {
  /** The name, as in `npm run name`. */
  name: string;
  /** What it does; one or more lines. */
  about: string;
  /** The arguments of a typical call. */
  example?: string;
  options: O;
  /** The environment variables that it reads, and what each is for. */
  variables: Record<string, string>;
  exitCodes?: ExitCodes;
}

/** When the exit code is 1, besides a failure of the command, and when it is 3. */
interface ExitCodes {
  1: string;
  3?: string;
}

/** The usage of a command: what it does, an example, its options, the variables that it reads, and its exit codes. */
export function usage({ name, about, example, options, variables, exitCodes }: Description<Options>): string {
  const all = Object.entries(options);
  const [, operand] = all.find(([, option]) => option.operand) ?? [];
  const argument = operand && columns([[operand.value ?? '', `${operand.about}: ${operand.allowed}`]]);
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
    ...(example === undefined ? [] : [`\nExample:\n  ${called} ${example}`]),
    ...(argument === undefined ? [] : [`\nArgument:\n${argument}`]),
    `\nOptions:\n${columns([...named, help])}`,
    `\nEnvironment:\n${columns(Object.entries(variables))}`,
    `\nExit codes:\n${columns(exitLines(exitCodes ?? { 1: 'a check does not hold' }))}`,
  ].join('\n');
}

const exitLines = ({ 1: broken, 3: inconclusive }: ExitCodes): [string, string][] => [
  ['0', 'all checks hold'],
  ['1', `${broken}; or the command failed`],
  ['2', 'the command line is invalid'],
  ...(inconclusive === undefined ? [] : [['3', inconclusive] satisfies [string, string]]),
  ['130', 'interrupted by Ctrl-C'],
];

function columns(lines: [string, string][]): string {
  if (lines.length === 0) return '  none';
  const width = Math.max(...lines.map(([left]) => left.length));
  const indent = ' '.repeat(width + 4);
  return lines
    .map(
      ([left, right]) =>
        `  ${left.padEnd(width)}  ${wrapped(right, COLUMNS - indent.length).join(`\n${indent}`)}`,
    )
    .join('\n');
}

/** Breaks a text into lines at spaces. A word that is longer than a line is not broken. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
