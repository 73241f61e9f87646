import { optimistic } from './optimistic.ts';
import { optimisticNoRetry } from './optimistic-no-retry.ts';
import { pessimistic } from './pessimistic.ts';
import type { Strategy } from './strategy.ts';
import { unsafe } from './unsafe.ts';

/** Every strategy, in teaching order. */
export const strategies: readonly Strategy[] = [unsafe, pessimistic, optimistic, optimisticNoRetry];
