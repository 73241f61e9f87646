import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runCommand } from '../../src/command-line/command.ts';
import { path, whole } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { violationsText } from '../fault-test/report.ts';
import { withPostgres } from '../fault-test/run.ts';
import { plural } from '../shared/plural.ts';
import { outcomesOf, refusalsOf, stepTable } from './report.ts';
import { rollOut, type RolloutOptions, type RolloutResult } from './rollout.ts';
import { thisCheckout, withVersion } from './version.ts';

/** The codes of refusals that a replacement causes: the process has ended, or it is shutting down. */
const EXPLAINED = new Set(['ECONNREFUSED', 'shutting_down']);

await runCommand({
  name: 'upgrade-test',
  about: `Starts replicas of an earlier version, upgrades them to this checkout one after another, and then rolls them back, while
callers increment counters. Compares the acknowledged increments with the counts.`,
  example: 'HEAD~20 --acknowledged 500',
  options: {
    revision: {
      operand: true,
      value: 'REVISION',
      about: 'the version to upgrade from',
      allowed: 'a commit, branch or tag of this repository, such as HEAD~20',
      read: (given: string) => given || undefined,
    },
    replicas: whole('the number of service processes', 2, 16, 2),
    clients: whole('the number of concurrent callers', 1, 1000, 32),
    acknowledged: whole(
      'the number of increments to acknowledge after each replacement',
      100,
      1_000_000,
      2000,
    ),
    seed: whole('determines the requests; random by default', 0, 2 ** 32 - 1),
    journal: path(
      'FILE',
      'where to write the journal of requests and answers',
      'load-tests/results/upgrade.journal',
    ),
  },
  variables: { POSTGRES_BIN: 'a folder with initdb and postgres; default: the embedded PostgreSQL' },
  exitCodes: {
    1: 'an increment is lost or counted twice, an answer is wrong, a replica ended with an error, or a request was refused for a reason other than a replacement',
  },
  async run({ revision, seed = Math.floor(Math.random() * 2 ** 32), ...given }, signal) {
    return withVersion(revision, signal, async (from) => {
      await mkdir(dirname(given.journal), { recursive: true });
      const options = { ...given, seed, signal, from, to: thisCheckout };
      return judge(await withPostgres((postgres) => rollOut(postgres, options)), options);
    });
  },
});

/** Prints the results. @returns whether all checks hold */
function judge(result: RolloutResult, { from, seed, replicas, journal }: RolloutOptions): boolean {
  const { violations, migrations, failedShutdowns } = result;
  const refusals = refusalsOf(result);
  const outcomes = outcomesOf(result);
  const sum = (what: 'acknowledged' | 'lost' | 'doubled') =>
    outcomes.reduce((total, one) => total + one[what], 0);
  print(stepTable(result));
  print(`\nversions of the tables created under load: ${migrations.join(', ') || 'none'}`);
  print(`refused: ${[...refusals].map(([code, times]) => `${times} ${code}`).join(', ') || 'none'}`);
  for (const text of failedShutdowns) print(text);
  if (violations.length > 0) print(violationsText(violations));
  print(
    `\n${sum('lost')} lost, ${sum('doubled')} doubled, ${plural(violations.length, 'rule')} broken: ` +
      `${plural(sum('acknowledged'), 'increment')} acknowledged by ${replicas} replicas, from ${from.name} to ${thisCheckout.name} and back, ` +
      `seed ${seed}; to check the journal again: npm run fault-test -- --check ${journal}`,
  );
  const explained = [...refusals.keys()].every((code) => EXPLAINED.has(code));
  return sum('lost') + sum('doubled') + violations.length + failedShutdowns.length === 0 && explained;
}
