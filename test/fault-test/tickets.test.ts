import t from 'tap';
import { TICKETS, violationsOf } from '../../load-tests/fault-test/tickets/round.ts';
import { runRounds } from '../../load-tests/fault-test/tickets/rounds.ts';
import { withPostgres } from '../../load-tests/fault-test/run.ts';
import type { Add } from '../../src/concurrency/history.ts';

t.test('200 buyers have 100 tickets, whichever replica is killed, and refusals are true', async (t) => {
  const over = new AbortController();
  t.teardown(() => over.abort());
  const options = { rounds: 2, replicas: 3, seed: 1, signal: over.signal };
  t.strictSame(await withPostgres((postgres) => runRounds(postgres, options)), []);
});

t.test(
  'a round in which one ticket is missing, is sold twice, or was refused too early is found',
  async (t) => {
    const sold = Array.from(
      { length: TICKETS },
      (_, i): Add => ({ startedAt: i, endedAt: i + 0.5, by: 1, outcome: 'acknowledged', value: i + 1 }),
    );
    const [first, ...others] = sold as [Add, ...Add[]];
    const refused = (startedAt: number): Add => ({
      startedAt,
      endedAt: startedAt + 1,
      by: 1,
      outcome: 'refused',
    });
    const legal = { sales: [...sold, refused(TICKETS)], sold: TICKETS };
    t.strictSame(violationsOf(legal), []);
    t.not(violationsOf({ ...legal, sales: others }).length, 0);
    t.not(violationsOf({ ...legal, sold: TICKETS - 1 }).length, 0);
    t.not(violationsOf({ ...legal, sold: Number.NaN }).length, 0);
    t.not(violationsOf({ ...legal, sales: [...sold, { ...first, startedAt: 200, endedAt: 201 }] }).length, 0);
    t.not(violationsOf({ ...legal, sales: [...sold, refused(0)] }).length, 0);
  },
);
