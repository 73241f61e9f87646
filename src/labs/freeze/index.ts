import type { Lab } from '../bench/experiment.ts';
import { deadlock } from './deadlock.ts';
import { everyLevel } from './every-level.ts';
import { frozen } from './frozen.ts';
import { poolExhaustion } from './pool-exhaustion.ts';
import { timeouts } from './timeouts.ts';

export const freeze: Lab = {
  name: 'freeze',
  summary: 'Why a system freezes without an error, and what prevents it.',
  terms: ['row lock', 'lock timeout', 'pool', 'idle in transaction', 'deadlock'],
  experiments: [frozen, timeouts, everyLevel, poolExhaustion, deadlock],
};
