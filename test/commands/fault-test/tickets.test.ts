import { join } from 'node:path';
import t from 'tap';
import { rules } from '../../../load-tests/fault-test/checks/violation.ts';
import { withPostgres } from '../../../load-tests/fault-test/run.ts';
import { BUYERS, runRounds } from '../../../load-tests/fault-test/tickets/rounds.ts';
import { TICKETS } from '../../../load-tests/fault-test/journal/operation.ts';

const ROUNDS = 10;

t.test('200 buyers get 100 tickets while replicas fail, and none is refused too early', async (t) => {
  const over = new AbortController();
  t.teardown(() => over.abort());
  const journal = join(t.testdir(), 'journal');
  const options = { rounds: ROUNDS, replicas: 3, seed: 1, journal, signal: over.signal };
  const { violations, history, killed, cut } = await withPostgres((postgres) => runRounds(postgres, options));
  t.strictSame(
    violations.map(({ rule, text }) => `${rules[rule]}: ${text}`),
    [],
  );
  const byOutcome = Map.groupBy(history.operations, ({ outcome, code = '' }) => `${outcome} ${code}`);
  t.equal(byOutcome.get('acknowledged ')?.length, ROUNDS * TICKETS);
  t.equal(byOutcome.get('refused out_of_bounds')?.length, ROUNDS * (BUYERS - TICKETS));
  t.strictSame([killed, cut], [1, 1]);
});
