import t from 'tap';
import { transactionFaults } from '../../../load-tests/fault-test/faults/transactions.ts';
import { testFaults } from './faults.ts';

testFaults(
  'at the statements of a transaction',
  (fault) => transactionFaults.includes(fault),
  [
    ['transaction cut before BEGIN', 'transaction cut before the lock', 'transaction cut before apply'],
    [
      'transaction cut before COMMIT',
      'transaction cut after COMMIT, before the answer',
      'half-open connection: transaction committed, no answer',
    ],
    [
      'transaction on a silent link from BEGIN on',
      'transaction on a silent link from the lock on',
      'SIGSTOP of a replica in a transaction, at BEGIN',
    ],
    [
      'transaction on a silent link from apply on',
      'transaction on a silent link from COMMIT on',
      'SIGSTOP of a replica in a transaction, at the lock',
    ],
    [
      'SIGSTOP of a replica in a transaction, at apply',
      'SIGSTOP of a replica in a transaction, at COMMIT',
      'transaction delivered after its number was closed',
    ],
    [
      'transaction with a late COMMIT',
      'SIGKILL of a replica in a transaction, at COMMIT',
      'pg_terminate_backend of a transaction that holds locks',
    ],
  ],
  ({ figures }) => {
    const settled = (outcome: 'applied' | 'not applied') =>
      figures.reduce((sum, one) => sum + one.settled[outcome], 0);
    t.ok(settled('applied') >= 3, 'the service found that lost answers belonged to commits');
    t.ok(settled('not applied') >= 3, 'the service found that other transactions were not applied');
  },
);
