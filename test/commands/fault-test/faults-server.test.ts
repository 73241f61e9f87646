import t from 'tap';
import { testFaults } from './faults.ts';

testFaults(
  'of the server, and those that allow no other',
  ({ scope }) => scope !== 'replica',
  [
    ['counter locked by another session'],
    ['new counters of an uncommitted transaction'],
    ['expired keys reused'],
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
