import { optimistic } from '../strategies/optimistic.ts';
import { optimisticNoRetry } from '../strategies/optimistic-no-retry.ts';
import { pessimistic } from '../strategies/pessimistic.ts';
import type { Strategy } from '../likes/strategy.ts';
import { unsafe } from '../strategies/unsafe.ts';

/** An endpoint of the blog post that increments: a strategy, the number of workers, and the increments of each. */
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
    summary: 'Increment without a lock: exact alone, loses concurrent updates',
  },
  {
    path: '/2th',
    strategy: unsafe,
    workers: 2,
    increments: 25,
    message: '/2th : Concurrent increment completed',
    summary: 'Increment in two sessions without a lock: loses updates',
  },
  {
    path: '/2th-plock',
    strategy: pessimistic,
    workers: 2,
    increments: 25,
    message: '/2th-plock : pessimistic lock increment completed',
    summary: 'Increment in two sessions with SELECT … FOR UPDATE: exact',
  },
  {
    path: '/2th-olock',
    strategy: optimistic,
    workers: 2,
    increments: 25,
    message: '/2th-olock : optimistic lock increment completed',
    summary: 'Increment in two sessions with a version check and retries: exact',
  },
  {
    path: '/2th-olock-no-retry',
    strategy: optimisticNoRetry,
    workers: 2,
    increments: 25,
    message: '/2th-olock-no-retry : optimistic lock increment without retry completed',
    summary: 'Increment in two sessions with a version check only: rejects conflicts',
  },
  {
    path: '/test-versioning',
    strategy: optimistic,
    workers: 1,
    increments: 1,
    message: 'Versioning test completed',
    summary: 'Increment once with a version check; report the likes and the version',
  },
];
