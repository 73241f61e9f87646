import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runCommand } from '../../src/command-line/command.ts';
import { flag, type Given, path, whole } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { table } from '../../src/command-line/table.ts';
import { check } from './checks/checker.ts';
import type { Violation } from './checks/violation.ts';
import { controlRows, runControls } from './controls/controls.ts';
import { schedule } from './faults/index.ts';
import { readJournal } from './journal/journal-reader.ts';
import { seeded } from './world/random.ts';
import { report, violationsText } from './report.ts';
import { run, withPostgres } from './run.ts';
import { TICKETS } from './journal/operation.ts';
import { BUYERS, runRounds } from './tickets/rounds.ts';

const options = {
  acknowledged: whole('increments to be acknowledged', 100, 5_000_000, 1_000_000),
  faults: whole('faults to be made meanwhile', 0, 10_000, 200),
  replicas: whole('processes of the service', 1, 16, 3),
  clients: whole('requests at the same time', 1, 1000, 96),
  seed: whole('decides what happens in which order; by default another one each time', 0, 2 ** 32 - 1),
  journal: path(
    'FILE',
    'where to write down what was sent and answered',
    'load-tests/results/faults.journal',
  ),
  controls: flag('only the service with defects, each of which must be found'),
  tickets: whole(
    'only this: rounds in which 200 buyers race for 100 tickets while a replica is killed or cut off',
    1,
    100_000,
  ),
  check: path('FILE', 'only checks a journal again'),
};

await runCommand({
  name: 'fault-test',
  about: `Counts on processes of its own while it kills, stops and cuts off the service, its network and PostgreSQL, and compares
what was acknowledged with what is counted. Exit code 1 if anything is lost, doubled or told wrong.`,
  options,
  variables: { POSTGRES_BIN: 'a folder with initdb and postgres; default: the embedded PostgreSQL' },
  async run({ seed = Math.floor(Math.random() * 2 ** 32), ...given }, signal) {
    if (given.check) return checkAgain(given.check);
    await mkdir(dirname(given.journal), { recursive: true });
    if (given.tickets) return tickets({ ...given, seed }, given.tickets, signal);
    return (given.controls ? controls : faultTest)({ ...given, seed }, signal);
  },
});

type Asked = Given<typeof options> & { seed: number };

async function faultTest(asked: Asked, signal: AbortSignal): Promise<boolean> {
  const { seed, replicas, journal } = asked;
  const faults = schedule(seeded(seed), asked.faults);
  const result = await withPostgres((postgres) => run(postgres, { ...asked, faults, signal }));
  const { history, violations, missed, elapsedMs } = result;
  print(report(result));
  for (const text of missed) print(`not made: ${text}`);
  if (violations.length > 0) print(violationsText(violations));
  print(
    `\n${violations.length === 0 ? 'every rule holds' : `${violations.length} rules broken`}: ` +
      `${history.operations.length} requests to ${replicas} replicas in ${Math.round(elapsedMs / 1000)} s, seed ${seed}; ` +
      `to check them again: --check ${journal}`,
  );
  return violations.length === 0 && missed.length === 0;
}

async function controls(asked: Asked, signal: AbortSignal): Promise<boolean> {
  const caught = await withPostgres((postgres) => runControls(postgres, { ...asked, signal }));
  print(table(['', 'defect', ''], controlRows(caught)));
  return caught.every(({ by }) => by.length > 0);
}

async function tickets(asked: Asked, rounds: number, signal: AbortSignal): Promise<boolean> {
  const { replicas, seed, journal } = asked;
  const { violations, killed, cut, elapsedMs } = await withPostgres((postgres) =>
    runRounds(postgres, { ...asked, rounds, signal }),
  );
  if (violations.length > 0) print(violationsText(violations));
  print(
    `${violations.length === 0 ? `${TICKETS} of ${TICKETS} tickets sold each time` : `${violations.length} rules broken`}: ` +
      `${BUYERS} buyers, ${rounds} rounds, ${replicas} replicas, of which one was killed ${killed} times and cut off the database ` +
      `${cut} times, in ${Math.round(elapsedMs / 1000)} s, seed ${seed}; to check them again: --check ${journal}`,
  );
  return violations.length === 0;
}

async function checkAgain(file: string): Promise<boolean> {
  const violations: Violation[] = [];
  let times = 0;
  const { operations } = await readJournal(file, (history, truth) => {
    times += 1;
    violations.push(...check(history, truth, times === 2));
  });
  if (violations.length > 0) print(violationsText(violations));
  if (times < 2) print('the run broke off before the database was asked for the last time');
  print(`${operations.length} requests, ${violations.length} rules broken`);
  return violations.length === 0 && times === 2;
}
