import { advisoryLock } from './advisory-lock.ts';
import { atomic } from './atomic.ts';
import { compareAndSet } from './compare-and-set.ts';
import { groupCommit } from './group-commit.ts';
import { ledger } from './ledger.ts';
import { optimistic } from './optimistic.ts';
import { optimisticNoRetry } from './optimistic-no-retry.ts';
import { pessimistic } from './pessimistic.ts';
import { pessimisticNowait } from './pessimistic-nowait.ts';
import { pessimisticVersioned } from './pessimistic-versioned.ts';
import { repeatableRead } from './repeatable-read.ts';
import { serializable } from './serializable.ts';
import { slotted } from './slotted.ts';
import { staleLock } from './stale-lock.ts';
import type { Strategy } from '../likes/strategy.ts';
import { unsafe } from './unsafe.ts';

/** Every strategy, in teaching order: what goes wrong, locks, versions, isolation levels, and less contention. */
export const strategies: readonly Strategy[] = [
  unsafe,
  staleLock,
  pessimistic,
  pessimisticNowait,
  pessimisticVersioned,
  advisoryLock,
  optimistic,
  optimisticNoRetry,
  compareAndSet,
  repeatableRead,
  serializable,
  atomic,
  slotted,
  ledger,
  groupCommit,
];
