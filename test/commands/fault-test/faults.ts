import { join } from 'node:path';
import t from 'tap';
import { check } from '../../../load-tests/fault-test/checks/checker.ts';
import { rules } from '../../../load-tests/fault-test/checks/violation.ts';
import type { Fault } from '../../../load-tests/fault-test/faults/fault.ts';
import { faultNamed, faults } from '../../../load-tests/fault-test/faults/index.ts';
import { readJournal } from '../../../load-tests/fault-test/journal/journal-reader.ts';
import { report } from '../../../load-tests/fault-test/report.ts';
import { run, type RunResult, withPostgres } from '../../../load-tests/fault-test/run.ts';

/** A fault that injects all of these at the same time, each on the next replica. */
const together = (names: readonly string[]): Fault => ({
  name: names.join(' + '),
  scope: 'server',
  async inject(world, replica) {
    const at = (i: number) => world.replicas[i % world.replicas.length] ?? replica;
    const ended = await Promise.allSettled(names.map((name, i) => faultNamed(name).inject(world, at(i))));
    const missed = ended.find((one) => one.status === 'rejected');
    if (missed) throw missed.reason;
  },
});

/**
 * Asserts that nothing is lost or counted twice while these faults are injected.
 *
 * @param which what the faults have in common
 * @param belongs `groups` must have every fault that belongs to them, except "several faults at once"
 * @param groups groups of faults; those of one group are injected at the same time
 */
export function testFaults(
  which: string,
  belongs: (fault: Fault) => boolean,
  groups: readonly (readonly string[])[],
  inspect: (result: RunResult) => void = () => {},
): void {
  t.test(`nothing is lost or counted twice under the faults ${which}`, async (t) => {
    const all = faults.filter((fault) => fault.name !== 'several faults at once' && belongs(fault));
    t.strictSame(groups.flat().toSorted(), all.map(({ name }) => name).toSorted(), 'every fault of these');
    // If the test takes too long, it ends the processes that it has started.
    const over = new AbortController();
    t.teardown(() => over.abort());
    const journal = join(t.testdir(), 'journal');
    const options = { acknowledged: 3000, replicas: 3, clients: 48, seed: 1, journal, signal: over.signal };
    const result = await withPostgres((postgres) =>
      run(postgres, { ...options, faults: groups.map(together) }),
    );
    t.strictSame(
      result.violations.map(({ rule, text }) => `${rules[rule]}: ${text}`),
      [],
      report(result),
    );
    t.strictSame(result.missed, [], 'no fault was missed');
    inspect(result);

    let times = 0;
    const again = await readJournal(journal, (history, truth) => {
      times += 1;
      t.strictSame(check(history, truth, times === 2), [], 'the journal alone gives the same result');
    });
    t.equal(times, 2);
    t.equal(again.operations.length, result.history.operations.length);
  });
}
