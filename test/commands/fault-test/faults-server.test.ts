import t from 'tap';
import { testFaults } from './faults.ts';

testFaults(
  ['server', 'alone'],
  [
    ['a counter locked by another session'],
    ['new counters that another session has not committed'],
    ['keys that expire and are used again'],
    ['pg_terminate_backend'],
    ['SIGKILL of a backend'],
    ['SIGKILL of PostgreSQL'],
    ['restart of PostgreSQL'],
    ['SIGSTOP of PostgreSQL'],
  ],
  ({ history }) => {
    t.equal(history.locks.length, 2, 'counters were locked');
    t.ok(
      history.operations.some(({ kind, outcome }) => kind === 'again' && outcome === 'acknowledged'),
      'expired keys counted again',
    );
  },
);
