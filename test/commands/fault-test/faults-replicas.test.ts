import t from 'tap';
import { testFaults } from './faults.ts';

testFaults(
  ['replica'],
  [
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
      'all connections cut and turned away',
    ],
    ['SIGKILL of a replica during a commit'],
  ],
  ({ figures }) => {
    const settled = (outcome: 'applied' | 'not applied' | 'unknown') =>
      figures.reduce((sum, one) => sum + one.settled[outcome], 0);
    t.ok(settled('applied') >= 5, 'the service found that lost answers belonged to commits');
    t.ok(settled('not applied') >= 2, 'the service found that other statements were not applied');
    t.ok(settled('unknown') >= 2, 'the service reports the remaining outcomes as unknown');
  },
);
