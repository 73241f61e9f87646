import { join } from 'node:path';
import t from 'tap';
import type { Violation } from '../../../load-tests/fault-test/checks/violation.ts';
import { runControls } from '../../../load-tests/fault-test/controls/controls.ts';
import type { Defect } from '../../../load-tests/fault-test/controls/defects.ts';
import { withPostgres } from '../../../load-tests/fault-test/run.ts';

/** The rule that a service with this defect breaks. */
export const ruleOf: Record<Defect, Violation['rule']> = {
  'answers before the commit': 'bound',
  'answers a transaction before its commit': 'acknowledged',
  'treats every lost commit as not applied': 'own',
  'treats every lost commit as applied': 'acknowledged',
  'does not check batch numbers': 'own',
  'does not check the numbers of transactions': 'own',
  'guesses the outcome after its writer was removed': 'own',
  'decides without locks': 'sum',
  'ignores keys': 'acknowledged',
  'counts known keys again': 'sum',
  'refuses the whole batch on a lock': 'unrelated',
  'skips the last counter of a bulk': 'whole',
  'reads from a cache': 'reads',
};

/** Asserts that each of these defects is found by its rule. The defects are in several files, which run in parallel. */
export function testControls(...defects: Defect[]): void {
  t.test(`the rules find these defects: ${defects.join(', ')}`, async (t) => {
    // If the test takes too long, it ends the processes that it has started.
    const over = new AbortController();
    t.teardown(() => over.abort());
    const options = { seed: 1, journal: join(t.testdir(), 'journal'), signal: over.signal };
    const caught = await withPostgres((postgres) => runControls(postgres, options, defects));
    t.strictSame(
      caught.map(({ defect }) => defect),
      defects,
    );
    for (const { defect, by } of caught) t.ok(by.includes(ruleOf[defect]), `${defect}: ${by.join()}`);
  });
}
