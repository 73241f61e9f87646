import { join } from 'node:path';
import t from 'tap';
import { rules } from '../../load-tests/fault-test/checks/violation.ts';
import type { Fault } from '../../load-tests/fault-test/faults/fault.ts';
import { faultNamed, faults } from '../../load-tests/fault-test/faults/index.ts';
import { readJournal } from '../../load-tests/fault-test/journal/journal-reader.ts';
import { check } from '../../load-tests/fault-test/checks/checker.ts';
import { report } from '../../load-tests/fault-test/report.ts';
import { run, withPostgres } from '../../load-tests/fault-test/run.ts';

/** Every fault there is; those that take their time and do not get in each other's way, at the same time. */
const made = [
  [
    'cut before the statement',
    'cut after the commit, before its answer',
    'clock of a replica jumps by hours',
  ],
  [
    'delivered after it was given up',
    'half-open: committed, and no answer comes',
    'half-open: nothing passes',
  ],
  ['half-open: written, and the commit comes late', 'SIGKILL of a replica', 'SIGTERM of a replica'],
  [
    'sent again, and cut before it arrives',
    'sent again, and cut after the commit',
    'pg_terminate_backend of the one that settles',
  ],
  [
    'closed, and cut before it arrives',
    'closed, and cut after the commit',
    'SIGSTOP of a replica during a commit',
  ],
  [
    'SIGSTOP of a replica, its writer removed after the commit',
    'SIGSTOP of a replica, its writer removed before the commit',
  ],
  ['a counter locked by another session'],
  ['new counters that another session has not committed'],
  ['keys that expire and are used again'],
  ['all connections cut and turned away'],
  ['pg_terminate_backend'],
  ['SIGKILL of a backend'],
  ['SIGKILL of PostgreSQL'],
  ['restart of PostgreSQL'],
  ['SIGSTOP of PostgreSQL'],
];

/** These, one for each replica, at the same time. */
const together = (names: string[]): Fault => ({
  name: names.join(' + '),
  scope: 'server',
  async make(world, replica) {
    const at = (i: number) => world.replicas[i % world.replicas.length] ?? replica;
    const ended = await Promise.allSettled(names.map((name, i) => faultNamed(name).make(world, at(i))));
    const missed = ended.find((one) => one.status === 'rejected');
    if (missed) throw missed.reason;
  },
});

t.test('whatever is killed, stopped or cut off, nothing is lost and nothing counted twice', async (t) => {
  // A test that takes too long ends what it has started.
  const over = new AbortController();
  t.teardown(() => over.abort());
  const journal = join(t.testdir(), 'journal');
  const missing = faults.filter(({ name }) => !made.flat().includes(name));
  t.match(missing, [{ name: 'several at once' }], 'which these are');
  const result = await withPostgres((postgres) =>
    run(postgres, {
      acknowledged: 5000,
      faults: made.map(together),
      replicas: 3,
      clients: 48,
      seed: 1,
      journal,
      signal: over.signal,
    }),
  );
  t.strictSame(
    result.violations.map(({ rule, text }) => `${rules[rule]}: ${text}`),
    [],
    report(result),
  );
  t.strictSame(result.missed, [], 'each was made');
  const settled = (outcome: 'applied' | 'not applied') =>
    result.figures.reduce((sum, figures) => sum + figures.settled[outcome], 0);
  t.ok(settled('applied') >= 3, 'the service found out that lost answers were of commits');
  t.ok(settled('not applied') >= 2, 'and that others were not');

  let times = 0;
  const again = await readJournal(journal, (history, truth) => {
    times += 1;
    t.strictSame(check(history, truth, times === 2), [], 'the journal alone says the same');
  });
  t.equal(times, 2);
  t.equal(again.operations.length, result.history.operations.length);
});
