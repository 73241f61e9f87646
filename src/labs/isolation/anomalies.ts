import type { Anomaly, Run } from './anomaly.ts';
import { T1, T2, T3 } from './sessions.ts';
import { shown } from './transcript.ts';

const below = {
  serializable: ['read uncommitted', 'read committed', 'repeatable read'],
  repeatableRead: ['read uncommitted', 'read committed'],
} as const;

const sawUncommitted = ({ reads }: Run) => [0, 1].some((n) => shown(reads('T2', n)) === '1→101');

/**
 * The anomalies of the Hermitage project (Martin Kleppmann), with the names of Adya's thesis, as schedules. A
 * transcript says what each session read, whom it waited for (⏸) and what ended it (✗); then the rows at the end.
 */
export const anomalies: readonly Anomaly[] = [
  {
    name: 'g0-dirty-write',
    title: 'G0, dirty write: two transactions write the same rows, mixed',
    steps: [T1.write(1, 11), T2.write(1, 12), T1.write(2, 21), T1.commit, T2.write(2, 22), T2.commit],
    happens: ({ final }) => final !== '1→12 2→22' && final !== '1→11 2→21',
    possible: [],
    expected: {
      'read committed': 'T2 ⏸ T1 = 1→12 2→22',
      'repeatable read': 'T2 ⏸ T1, T2 ✗ 40001 = 1→11 2→21',
      serializable: 'T2 ⏸ T1, T2 ✗ 40001 = 1→11 2→21',
    },
  },
  {
    name: 'g1a-aborted-read',
    title: 'G1a, aborted read: somebody sees what was never committed',
    steps: [T1.write(1, 101), T2.read(1), T1.abort, T2.read(1), T2.commit],
    happens: sawUncommitted,
    shows: { 'dirty read': sawUncommitted },
    possible: [],
    expected: {
      'read committed': 'T2 1→10, T2 1→10 = 1→10 2→20',
      'repeatable read': 'T2 1→10, T2 1→10 = 1→10 2→20',
      serializable: 'T2 1→10, T2 1→10 = 1→10 2→20',
    },
  },
  {
    name: 'g1b-intermediate-read',
    title: 'G1b, intermediate read: somebody sees a value that was overwritten before the commit',
    steps: [T1.write(1, 101), T2.read(1), T1.write(1, 11), T1.commit, T2.read(1), T2.commit],
    happens: sawUncommitted,
    shows: {
      'dirty read': sawUncommitted,
      'nonrepeatable read': ({ reads }) => shown(reads('T2', 0)) !== shown(reads('T2', 1)),
    },
    possible: [],
    expected: {
      'read committed': 'T2 1→10, T2 1→11 = 1→11 2→20',
      'repeatable read': 'T2 1→10, T2 1→10 = 1→11 2→20',
      serializable: 'T2 1→10, T2 1→10 = 1→11 2→20',
    },
  },
  {
    name: 'g1c-circular-information-flow',
    title: 'G1c, circular information flow: two transactions see each other’s writes',
    steps: [T1.write(1, 11), T2.write(2, 22), T1.read(2), T2.read(1), T1.commit, T2.commit],
    happens: ({ reads }) => shown(reads('T1', 0)) === '2→22' && shown(reads('T2', 0)) === '1→11',
    possible: [],
    expected: {
      'read committed': 'T1 2→20, T2 1→10 = 1→11 2→22',
      'repeatable read': 'T1 2→20, T2 1→10 = 1→11 2→22',
      serializable: 'T1 2→20, T2 1→10, T2 ✗ 40001 = 1→11 2→20',
    },
  },
  {
    name: 'otv-observed-transaction-vanishes',
    title: 'OTV, observed transaction vanishes: what was seen of a transaction is later gone in part',
    steps: [
      T1.write(1, 11),
      T1.write(2, 19),
      T2.write(1, 12),
      T1.commit,
      T3.read(1),
      T2.write(2, 18),
      T3.read(2),
      T2.commit,
      T3.read(2),
      T3.read(1),
      T3.commit,
    ],
    // It saw 11 of T1 at its first read: 20 at its second would be T1 vanished.
    happens: ({ reads }) => shown(reads('T3', 0)) === '1→11' && shown(reads('T3', 1)) !== '2→19',
    possible: [],
    expected: {
      'read committed': 'T2 ⏸ T1, T3 1→11, T3 2→19, T3 2→18, T3 1→12 = 1→12 2→18',
      'repeatable read': 'T2 ⏸ T1, T2 ✗ 40001, T3 1→11, T3 2→19, T3 2→19, T3 1→11 = 1→11 2→19',
      serializable: 'T2 ⏸ T1, T2 ✗ 40001, T3 1→11, T3 2→19, T3 2→19, T3 1→11 = 1→11 2→19',
    },
  },
  {
    name: 'pmp-predicate-read',
    title: 'PMP, predicate-many-preceders, read: a condition that matched nothing matches a row later',
    steps: [
      T1.readWhere('value = 30'),
      T2.insert(3, 30),
      T2.commit,
      T1.readWhere('value % 3 = 0'),
      T1.commit,
    ],
    happens: ({ reads }) => reads('T1', 1).length > 0,
    shows: { 'phantom read': ({ reads }) => reads('T1', 1).length > 0 },
    possible: below.repeatableRead,
    expected: {
      'read committed': 'T1 none, T1 3→30 = 1→10 2→20 3→30',
      'repeatable read': 'T1 none, T1 none = 1→10 2→20 3→30',
      serializable: 'T1 none, T1 none = 1→10 2→20 3→30',
    },
  },
  {
    name: 'pmp-predicate-write',
    title: 'PMP, predicate-many-preceders, write: a delete misses a row that its own transaction then sees',
    steps: [
      T1.step('update test set value = value + 10'),
      T2.deleteWhere('value = 20'),
      T1.commit,
      T2.readWhere('value = 20'),
      T2.commit,
    ],
    happens: ({ reads }) => reads('T2', 0).length > 0,
    possible: below.repeatableRead,
    expected: {
      'read committed': 'T1 update 2, T2 ⏸ T1, T2 delete 0, T2 1→20 = 1→20 2→30',
      'repeatable read': 'T1 update 2, T2 ⏸ T1, T2 ✗ 40001 = 1→20 2→30',
      serializable: 'T1 update 2, T2 ⏸ T1, T2 ✗ 40001 = 1→20 2→30',
    },
  },
  {
    name: 'p4-lost-update',
    title: 'P4, lost update: two transactions read the same and both write what follows from it',
    steps: [T1.read(1), T2.read(1), T1.write(1, 11), T2.write(1, 11), T1.commit, T2.commit],
    happens: ({ committed }) => committed('T1') && committed('T2'),
    possible: below.repeatableRead,
    expected: {
      'read committed': 'T1 1→10, T2 1→10, T2 ⏸ T1 = 1→11 2→20',
      'repeatable read': 'T1 1→10, T2 1→10, T2 ⏸ T1, T2 ✗ 40001 = 1→11 2→20',
      serializable: 'T1 1→10, T2 1→10, T2 ⏸ T1, T2 ✗ 40001 = 1→11 2→20',
    },
  },
  {
    name: 'g-single-read-skew',
    title: 'G-single, read skew: one transaction sees one row before and another after somebody’s commit',
    steps: [T1.read(1), T2.readAll, T2.write(1, 12), T2.write(2, 18), T2.commit, T1.read(2), T1.commit],
    happens: ({ reads }) => shown(reads('T1', 0)) === '1→10' && shown(reads('T1', 1)) === '2→18',
    possible: below.repeatableRead,
    expected: {
      'read committed': 'T1 1→10, T2 1→10 2→20, T1 2→18 = 1→12 2→18',
      'repeatable read': 'T1 1→10, T2 1→10 2→20, T1 2→20 = 1→12 2→18',
      serializable: 'T1 1→10, T2 1→10 2→20, T1 2→20 = 1→12 2→18',
    },
  },
  {
    name: 'g-single-predicate',
    title: 'G-single with predicates: read skew between two conditions',
    steps: [
      T1.readWhere('value % 5 = 0'),
      T2.step('update test set value = 12 where value = 10'),
      T2.commit,
      T1.readWhere('value % 3 = 0'),
      T1.commit,
    ],
    happens: ({ reads }) => reads('T1', 1).length > 0,
    possible: below.repeatableRead,
    expected: {
      'read committed': 'T1 1→10 2→20, T1 1→12 = 1→12 2→20',
      'repeatable read': 'T1 1→10 2→20, T1 none = 1→12 2→20',
      serializable: 'T1 1→10 2→20, T1 none = 1→12 2→20',
    },
  },
  {
    name: 'g-single-write-predicate',
    title: 'G-single with a write predicate: a delete no longer finds the row that its transaction relies on',
    steps: [
      T1.read(1),
      T2.readAll,
      T2.write(1, 12),
      T2.write(2, 18),
      T2.commit,
      T1.deleteWhere('value = 20'),
      T1.commit,
    ],
    happens: ({ committed }) => committed('T1'),
    possible: below.repeatableRead,
    expected: {
      'read committed': 'T1 1→10, T2 1→10 2→20, T1 delete 0 = 1→12 2→18',
      'repeatable read': 'T1 1→10, T2 1→10 2→20, T1 ✗ 40001 = 1→12 2→18',
      serializable: 'T1 1→10, T2 1→10 2→20, T1 ✗ 40001 = 1→12 2→18',
    },
  },
  {
    name: 'g2-item-write-skew',
    title: 'G2-item, write skew: both read two rows, and each writes another one of them',
    steps: [T1.readAll, T2.readAll, T1.write(1, 11), T2.write(2, 21), T1.commit, T2.commit],
    happens: ({ committed }) => committed('T1') && committed('T2'),
    possible: below.serializable,
    expected: {
      'read committed': 'T1 1→10 2→20, T2 1→10 2→20 = 1→11 2→21',
      'repeatable read': 'T1 1→10 2→20, T2 1→10 2→20 = 1→11 2→21',
      serializable: 'T1 1→10 2→20, T2 1→10 2→20, T2 ✗ 40001 = 1→11 2→20',
    },
  },
  {
    name: 'g2-anti-dependency-cycle',
    title: 'G2, anti-dependency cycle: both find nothing, and each inserts what the other looked for',
    steps: [
      T1.readWhere('value % 3 = 0'),
      T2.readWhere('value % 3 = 0'),
      T1.insert(3, 30),
      T2.insert(4, 42),
      T1.commit,
      T2.commit,
    ],
    happens: ({ committed }) => committed('T1') && committed('T2'),
    possible: below.serializable,
    expected: {
      'read committed': 'T1 none, T2 none = 1→10 2→20 3→30 4→42',
      'repeatable read': 'T1 none, T2 none = 1→10 2→20 3→30 4→42',
      serializable: 'T1 none, T2 none, T2 ✗ 40001 = 1→10 2→20 3→30',
    },
  },
  {
    name: 'g2-two-edges',
    title: 'G2 with two edges (Fekete): a transaction that only reads sees an order that cannot have been',
    steps: [
      T1.readAll,
      T2.step('update test set value = value + 5 where id = 2'),
      T2.commit,
      T3.readAll,
      T3.commit,
      T1.write(1, 0),
      T1.commit,
    ],
    happens: ({ committed }) => committed('T1'),
    possible: below.serializable,
    expected: {
      'read committed': 'T1 1→10 2→20, T3 1→10 2→25 = 1→0 2→25',
      'repeatable read': 'T1 1→10 2→20, T3 1→10 2→25 = 1→0 2→25',
      serializable: 'T1 1→10 2→20, T3 1→10 2→25, T1 ✗ 40001 = 1→10 2→25',
    },
  },
];
