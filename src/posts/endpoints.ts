import { optimistic } from '../strategies/optimistic.ts';
import { optimisticNoRetry } from '../strategies/optimistic-no-retry.ts';
import { pessimistic } from '../strategies/pessimistic.ts';
import type { Strategy } from '../strategies/strategy.ts';
import { unsafe } from '../strategies/unsafe.ts';

/** One of the seed's endpoints that increment: a strategy, and how many workers run it how often. */
export interface Endpoint {
  path: string;
  strategy: Strategy;
  workers: number;
  increments: number;
  message: string;
  summary: string;
}

export const endpoints: readonly Endpoint[] = [
  {
    path: '/inc',
    strategy: unsafe,
    workers: 1,
    increments: 25,
    message: '/inc : Concurrent increment completed',
    summary: 'Read, add, write: right as long as nobody calls it twice at once',
  },
  {
    path: '/2th',
    strategy: unsafe,
    workers: 2,
    increments: 25,
    message: '/2th : Concurrent increment completed',
    summary: 'Two workers with a session each and no lock: likes vanish',
  },
  {
    path: '/2th-plock',
    strategy: pessimistic,
    workers: 2,
    increments: 25,
    message: '/2th-plock : pessimistic lock increment completed',
    summary: 'The same with SELECT … FOR UPDATE: nothing is lost',
  },
  {
    path: '/2th-olock',
    strategy: optimistic,
    workers: 2,
    increments: 25,
    message: '/2th-olock : optimistic lock increment completed',
    summary: 'The same with a version check and a retry: nothing is lost',
  },
  {
    path: '/2th-olock-no-retry',
    strategy: optimisticNoRetry,
    workers: 2,
    increments: 25,
    message: '/2th-olock-no-retry : optimistic lock increment without retry completed',
    summary:
      'The version check alone: nothing is lost, but conflicts are missing from the count, and it says so',
  },
  {
    path: '/test-versioning',
    strategy: optimistic,
    workers: 1,
    increments: 1,
    message: 'Versioning test completed',
    summary: 'One increment with a version check: like and version before and after it',
  },
];
