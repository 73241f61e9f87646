import { join } from 'node:path';
import t from 'tap';
import type { Violation } from '../../load-tests/fault-test/checks/violation.ts';
import { runControls } from '../../load-tests/fault-test/controls/controls.ts';
import type { Defect } from '../../load-tests/fault-test/controls/defects.ts';
import { withPostgres } from '../../load-tests/fault-test/run.ts';

/** The rule that says what is wrong with the service that has this defect. */
const rule: Record<Defect, Violation['rule']> = {
  'answer before commit': 'acknowledged',
  'fence off': 'own',
  'numbers not checked': 'own',
  'guess when forgotten': 'own',
  'keys off': 'acknowledged',
  'keys ignored': 'sum',
  'neighbours refused': 'neighbours',
  'bulk in part': 'whole',
  'stale reads': 'reads',
};

t.test('each defect of the service is found out by the rule that it breaks', async (t) => {
  // A test that takes too long ends what it has started.
  const over = new AbortController();
  t.teardown(() => over.abort());
  const caught = await withPostgres((postgres) =>
    runControls(postgres, {
      seed: 1,
      journal: join(t.testdir(), 'journal'),
      signal: over.signal,
    }),
  );
  t.strictSame(
    caught.map(({ defect }) => defect),
    Object.keys(rule),
  );
  for (const { defect, by } of caught) t.ok(by.includes(rule[defect]), `${defect}: ${by.join()}`);
});
