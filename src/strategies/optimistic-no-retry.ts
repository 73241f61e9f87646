import { optimistic } from './optimistic.ts';
import type { Strategy } from './strategy.ts';

/** Relies on the version as `optimistic` does, and on a caller who handles being refused: without one, likes are missing. */
export const optimisticNoRetry: Strategy = {
  ...optimistic,
  name: 'optimistic-no-retry',
  summary: 'Writes only if the version is still the one that was read, and otherwise tells the caller so.',
  claim: 'rejects',
  attempts: 1,
};
