import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runCommand } from '../../src/command-line/command.ts';
import { flag, type Given, path, whole } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { table } from '../../src/command-line/table.ts';
import { plural } from '../shared/plural.ts';
import { check } from './checks/checker.ts';
import type { Violation } from './checks/violation.ts';
import { controlRows, runControls } from './controls/controls.ts';
import { schedule } from './faults/index.ts';
import { TICKETS } from './journal/operation.ts';
import { readJournal } from './journal/journal-reader.ts';
import { faultRows, report, totalOf, violationsText } from './report.ts';
import { run, withPostgres } from './run.ts';
import { BUYERS, runRounds } from './tickets/rounds.ts';
import { seeded } from './world/random.ts';

const options = {
  acknowledged: whole('the number of increments to acknowledge', 100, 5_000_000, 1_000_000),
  faults: whole('the number of faults to inject meanwhile', 0, 10_000, 200),
  replicas: whole('the number of service processes', 1, 16, 3),
  clients: whole('the number of concurrent callers', 1, 1000, 96),
  seed: whole('determines the order of faults and requests; random by default', 0, 2 ** 32 - 1),
  journal: path(
    'FILE',
    'where to write the journal of requests and answers',
    'load-tests/results/faults.journal',
  ),
  controls: flag(
    'only the positive controls: runs the service with known defects, which the checker has to detect',
  ),
  tickets: whole(
    `only the ticket test: the number of rounds in which ${BUYERS} buyers compete for ${TICKETS} tickets`,
    1,
    100_000,
  ),
  check: path('FILE', 'only checks the journal of an earlier run again'),
  json: flag('prints the results as JSON'),
};

await runCommand({
  name: 'fault-test',
  about: `Starts replicas of the service and a PostgreSQL server, increments counters while it kills, stops and disconnects
them, and compares the acknowledged increments with the counts. Without options, it takes about ten minutes.`,
  example: '--acknowledged 20000 --faults 30 --seed 7',
  options,
  variables: { POSTGRES_BIN: 'a folder with initdb and postgres; default: the embedded PostgreSQL' },
  exitCodes: {
    1: 'an increment is lost or counted twice, an answer is wrong, a fault could not be injected, or a defect was not detected',
  },
  async run({ seed = Math.floor(Math.random() * 2 ** 32), json, ...given }, signal) {
    const { holds, text, figures } = await resultOf({ ...given, seed }, signal);
    print(json ? JSON.stringify({ holds, ...figures }, null, 2) : text);
    return holds;
  },
});

type Asked = Omit<Given<typeof options>, 'json'> & { seed: number };

interface Result {
  holds: boolean;
  /** The output for readers. */
  text: string;
  /** The output for programs. */
  figures: Record<string, unknown>;
}

async function resultOf(asked: Asked, signal: AbortSignal): Promise<Result> {
  if (asked.check) return checkJournal(asked.check);
  await mkdir(dirname(asked.journal), { recursive: true });
  if (asked.tickets) return ticketTest(asked, asked.tickets, signal);
  return asked.controls ? controls(asked, signal) : faultTest(asked, signal);
}

async function faultTest(asked: Asked, signal: AbortSignal): Promise<Result> {
  const { seed, replicas, clients, journal } = asked;
  const faults = schedule(seeded(seed), asked.faults);
  const result = await withPostgres((postgres) => run(postgres, { ...asked, faults, signal }));
  const { history, violations, missed, elapsedMs } = result;
  const rows = faultRows(result);
  const requests = history.operations.length;
  const sent = `${plural(requests, 'request')} to ${plural(replicas, 'replica')}`;
  return {
    holds: violations.length === 0 && missed.length === 0,
    text: lines(
      report(result),
      ...missed.map(({ fault, reason }) => `not injected: ${fault}: ${reason}`),
      violationsText(violations),
      `\n${verdict(violations)}: ${sent} in ${seconds(elapsedMs)}, seed ${seed}; ${howToCheck(journal)}`,
    ),
    figures: {
      seed,
      replicas,
      clients,
      requests,
      elapsedMs: Math.round(elapsedMs),
      journal,
      faults: rows,
      total: totalOf(rows),
      missed,
      violations,
    },
  };
}

async function controls(asked: Asked, signal: AbortSignal): Promise<Result> {
  const results = await withPostgres((postgres) => runControls(postgres, { ...asked, signal }));
  return {
    holds: results.every(({ by }) => by.length > 0),
    text: table(['', 'defect', ''], controlRows(results)),
    figures: {
      seed: asked.seed,
      controls: results.map(({ defect, by }) => ({ defect, detected: by.length > 0, brokenRules: by })),
    },
  };
}

async function ticketTest(asked: Asked, rounds: number, signal: AbortSignal): Promise<Result> {
  const { replicas, seed, journal } = asked;
  const { violations, killed, cut, elapsedMs } = await withPostgres((postgres) =>
    runRounds(postgres, { ...asked, rounds, signal }),
  );
  const injected = `killed ${plural(killed, 'time')}, database connections cut ${plural(cut, 'time')}`;
  return {
    holds: violations.length === 0,
    text: lines(
      violationsText(violations),
      `${verdict(violations)}: ${plural(rounds, 'round')} of ${BUYERS} buyers and ${TICKETS} tickets; ` +
        `${plural(replicas, 'replica')}, ${injected}; ${seconds(elapsedMs)}, seed ${seed}; ${howToCheck(journal)}`,
    ),
    figures: {
      seed,
      replicas,
      rounds,
      buyers: BUYERS,
      tickets: TICKETS,
      killed,
      cut,
      elapsedMs: Math.round(elapsedMs),
      journal,
      violations,
    },
  };
}

async function checkJournal(journal: string): Promise<Result> {
  const violations: Violation[] = [];
  // A complete journal contains the state of the database before and after the retries.
  let states = 0;
  const { operations } = await readJournal(journal, (history, truth) => {
    states += 1;
    violations.push(...check(history, truth, states === 2));
  });
  const complete = states === 2;
  const requests = operations.length;
  return {
    holds: violations.length === 0 && complete,
    text: lines(
      violationsText(violations),
      complete ? '' : 'the journal is incomplete: the run ended before its last check',
      `${plural(requests, 'request')}, ${plural(violations.length, 'rule')} broken`,
    ),
    figures: { journal, requests, complete, violations },
  };
}

function lines(...all: string[]): string {
  return all.filter(Boolean).join('\n');
}

function verdict(violations: readonly Violation[]): string {
  return violations.length === 0 ? 'every rule holds' : `${plural(violations.length, 'rule')} broken`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function howToCheck(journal: string): string {
  return `to check the journal again: npm run fault-test -- --check ${journal}`;
}
