import t from 'tap';
import { transactionFaults } from '../../../load-tests/fault-test/faults/transactions.ts';
import { testFaults } from './faults.ts';

testFaults(
  'of one replica or its network',
  (fault) => fault.scope === 'replica' && !transactionFaults.includes(fault),
  [
    [
      'connection cut before the statement',
      'connection cut after the commit, before the answer',
      'clock of a replica shifted by six hours',
    ],
    [
      'statement delivered after its retry',
      'half-open connection: committed, no answer',
      'half-open connections: no traffic',
    ],
    ['half-open connection: written, late commit', 'SIGKILL of a replica', 'SIGTERM of a replica'],
    [
      'retry of a batch cut before the statement',
      'retry of a batch cut after the commit',
      'pg_terminate_backend of a close',
    ],
    [
      'close of a batch cut before the statement',
      'close of a batch cut after the commit',
      'SIGSTOP of a replica during a commit',
    ],
    [
      'SIGSTOP of a replica, writer removed after the commit',
      'SIGSTOP of a replica, writer removed before the commit',
      'all connections cut, new ones refused',
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
