import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runCommand } from '../../src/command-line/command.ts';
import { path, whole } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { violationsText } from '../fault-test/report.ts';
import { withPostgres } from '../fault-test/run.ts';
import { outcomesOf, refusalsOf, stepTable } from './report.ts';
import { rollOut, type RolloutOptions, type RolloutResult } from './rollout.ts';
import { thisCheckout, withVersion } from './version.ts';

/** The codes of refusals that a replacement explains: no process, or one that was about to end. */
const EXPLAINED = new Set(['ECONNREFUSED', 'shutting_down']);

await runCommand({
  name: 'upgrade-test',
  about: `Replaces replicas of another version by this checkout, one by one, and then back, while callers count, and compares what
was acknowledged with what is counted. Exit code 1 if anything is lost, doubled or told wrong, if a replica does not end
with exit code 0, or if a request is refused for another reason than that its replica was being replaced.`,
  options: {
    revision: {
      operand: true,
      value: 'REVISION',
      about: 'the version to upgrade from',
      allowed: 'a commit, branch or tag of this repository, such as HEAD~20',
      read: (given: string) => given || undefined,
    },
    replicas: whole('processes of the service', 2, 16, 2),
    clients: whole('callers at the same time', 1, 1000, 32),
    acknowledged: whole('increments to be acknowledged after each replacement', 100, 1_000_000, 2000),
    seed: whole('decides what is sent; by default another one each time', 0, 2 ** 32 - 1),
    journal: path(
      'FILE',
      'where to write down what was sent and answered',
      'load-tests/results/upgrade.journal',
    ),
  },
  variables: { POSTGRES_BIN: 'a folder with initdb and postgres; default: the embedded PostgreSQL' },
  async run({ revision, seed = Math.floor(Math.random() * 2 ** 32), ...given }, signal) {
    return withVersion(revision, signal, async (from) => {
      await mkdir(dirname(given.journal), { recursive: true });
      const options = { ...given, seed, signal, from, to: thisCheckout };
      return judge(await withPostgres((postgres) => rollOut(postgres, options)), options);
    });
  },
});

/** Prints what it came to. @returns whether everything holds */
function judge(result: RolloutResult, { from, seed, replicas, journal }: RolloutOptions): boolean {
  const { violations, migrations, badEnds } = result;
  const refusals = refusalsOf(result);
  const told = outcomesOf(result);
  const sum = (what: 'acknowledged' | 'lost' | 'doubled') =>
    told.reduce((total, one) => total + one[what], 0);
  print(stepTable(result));
  print(`\nmigrations applied under load: ${migrations.join(', ') || 'none'}`);
  print(`refused: ${[...refusals].map(([code, times]) => `${times} ${code}`).join(', ') || 'none'}`);
  for (const text of badEnds) print(text);
  if (violations.length > 0) print(violationsText(violations));
  print(
    `\n${sum('lost')} lost, ${sum('doubled')} doubled, ${violations.length} rules broken: ` +
      `${sum('acknowledged')} increments acknowledged by ${replicas} replicas, from ${from.name} to ${thisCheckout.name} and back, ` +
      `seed ${seed}; to check them again: npm run fault-test -- --check ${journal}`,
  );
  const explained = [...refusals.keys()].every((code) => EXPLAINED.has(code));
  return sum('lost') + sum('doubled') + violations.length + badEnds.length === 0 && explained;
}
