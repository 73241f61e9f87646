#!/usr/bin/env node
import { runCommand } from '../command-line/command.ts';
import { flag, part, UsageError, whole, wholes } from '../command-line/option.ts';
import { print } from '../command-line/progress.ts';
import { table } from '../command-line/table.ts';
import { ADDRESS_FORM, AddressError, parseAddress } from '../database/address.ts';
import { allHold } from './judgement.ts';
import type { VerificationResult } from './verification.ts';

const mark = (holds: boolean | null) => (holds === null ? '?' : holds ? '✓' : '✗');

await runCommand({
  name: 'verify',
  about: 'Runs every strategy and every experiment on a database, in temporary schemas.',
  example: 'postgresql://user:password@localhost:5432/database --workers 2,8',
  options: {
    databaseUrl: {
      operand: true,
      value: 'DATABASE_URL',
      about: 'the database to verify',
      allowed: ADDRESS_FORM,
      read: addressOf,
    },
    workers: wholes('the numbers of concurrent workers to race with', 1, 64, '2,8,32'),
    increments: whole('the number of increments of each worker', 1, 1000, 10),
    only: part('strategies', 'experiments'),
    json: flag('prints the results as JSON'),
  },
  variables: { PGPASSWORD: 'the password, if DATABASE_URL has none' },
  exitCodes: { 1: 'a claim does not hold', 3: 'inconclusive: the database was too slow' },
  async run({ json, ...options }, signal) {
    // Imported late, since it takes a second: process 1 of a container ignores Ctrl-C until a handler is installed.
    const { verify } = await import('./verification.ts');
    const result = await verify({ ...options, signal });
    print(json ? JSON.stringify(result, null, 2) : format(result, options.workers));
    return allHold([...result.rows, ...result.experiments]);
  },
});

/** @throws {UsageError} that says what is wrong with the address, without its password */
function addressOf(text: string): string {
  try {
    parseAddress(text);
    return text;
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new UsageError(`DATABASE_URL: ${error.message}; allowed: ${ADDRESS_FORM}`, { cause: error });
  }
}

/** The tables: a row for each strategy, a column for each number of workers; and a row for each experiment. */
function format({ server, rows, experiments }: VerificationResult, workers: readonly number[]): string {
  const strategies = [...Map.groupBy(rows, ({ strategy }) => strategy)].map(([name, own]) => [
    mark(allHold(own)),
    name,
    own[0]?.claim ?? '',
    ...own.map(({ verdict }) => verdict),
  ]);
  const examined = experiments.map((one) => [mark(one.holds), `${one.lab}/${one.experiment}`, one.verdict]);
  const all = [...strategies, ...examined];
  const marked = (holds: boolean | null) => all.filter(([first]) => first === mark(holds)).length;
  const tables = [
    { headings: ['', 'strategy', 'claim', ...workers.map((count) => `${count} workers`)], lines: strategies },
    { headings: ['', 'experiment', 'verdict'], lines: examined },
  ];
  return [
    server,
    ...tables.filter(({ lines }) => lines.length > 0).map(({ headings, lines }) => table(headings, lines)),
    summary(marked(false), marked(null), all.length),
  ].join('\n\n');
}

function summary(broken: number, inconclusive: number, all: number): string {
  const open = inconclusive ? `${inconclusive} of ${all} are inconclusive: too slow to tell` : '';
  if (broken) return [`${broken} of ${all} claims do not hold`, open].filter(Boolean).join('; ');
  return open || `all ${all} claims hold`;
}
