import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../../src/errors/caught.ts';
import { toldUsage } from '../load-test/options.ts';
import { progress } from '../shared/progress.ts';
import { table } from '../shared/table.ts';
import { check, type Violation } from './checker.ts';
import { controlRows, runControls } from './controls.ts';
import { schedule } from './faults.ts';
import { readJournal } from './journal-reader.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { seeded } from './random.ts';
import { report, shownViolations } from './report.ts';
import { run, withPostgres } from './run.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());

try {
  const options = readOptions(process.argv.slice(2));
  process.exitCode = (await command(options)) ? 0 : 1;
} catch (error) {
  progress();
  if (interrupted.signal.aborted) process.exitCode = 130;
  else if (!toldUsage(error, USAGE)) {
    console.error(`the fault test broke off: ${messageOf(error)}`);
    process.exitCode = 1;
  }
}

/** @returns whether everything is as it must be */
function command(options: Options): Promise<boolean> {
  if (options.check) return checkAgain(options.check);
  return options.controls ? controls(options) : faultTest(options);
}

async function faultTest(options: Options): Promise<boolean> {
  await mkdir(dirname(options.journal), { recursive: true });
  const result = await withPostgres((postgres) =>
    run(postgres, {
      ...options,
      faults: schedule(seeded(options.seed), options.faults),
      signal: interrupted.signal,
      onProgress: progress,
    }),
  );
  progress();
  const { history, violations, missed, elapsedMs } = result;
  console.log(report(result));
  for (const text of missed) console.log(`not made: ${text}`);
  if (violations.length > 0) console.log(shownViolations(violations));
  const seconds = Math.round(elapsedMs / 1000);
  console.log(
    `\n${violations.length === 0 ? 'every rule holds' : `${violations.length} rules broken`}: ` +
      `${history.operations.length} requests to ${options.replicas} replicas in ${seconds} s, seed ${options.seed}; ` +
      `to check them again: --check ${options.journal}`,
  );
  return violations.length === 0 && missed.length === 0;
}

async function controls(options: Options): Promise<boolean> {
  await mkdir(dirname(options.journal), { recursive: true });
  const { signal } = interrupted;
  const caught = await withPostgres((postgres) =>
    runControls(postgres, { ...options, signal, onProgress: progress }),
  );
  progress();
  console.log(table(['', 'defect', ''], controlRows(caught)));
  return caught.every(({ by }) => by.length > 0);
}

async function checkAgain(file: string): Promise<boolean> {
  const violations: Violation[] = [];
  let times = 0;
  const { operations } = await readJournal(file, (history, truth) => {
    times += 1;
    violations.push(...check(history, truth, times === 2));
  });
  if (violations.length > 0) console.log(shownViolations(violations));
  if (times < 2) console.log('the run broke off before the database was asked for the last time');
  console.log(`${operations.length} requests, ${violations.length} rules broken`);
  return violations.length === 0 && times === 2;
}
