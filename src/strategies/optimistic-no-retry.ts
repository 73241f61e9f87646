import { optimistic } from './optimistic.ts';
import type { Strategy } from '../likes/strategy.ts';

/** Relies on the version as `optimistic` does, and on a caller that handles the refusal: otherwise likes are missing. */
export const optimisticNoRetry: Strategy = {
  ...optimistic,
  name: 'optimistic-no-retry',
  summary: 'Writes only if the version is still the one that was read, and otherwise reports the conflict.',
  claim: 'rejects',
  attempts: 1,
};
