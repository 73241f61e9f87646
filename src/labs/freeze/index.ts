import type { Lab } from '../experiment.ts';
import { deadlock } from './deadlock.ts';
import { everyLevel } from './every-level.ts';
import { frozen } from './frozen.ts';
import { poolExhaustion } from './pool-exhaustion.ts';
import { timeouts } from './timeouts.ts';

export const freeze: Lab = {
  name: 'freeze',
  summary: 'A system that stops without an error, why it does, and what keeps it going.',
  terms: ['row lock', 'lock timeout', 'pool', 'idle in transaction', 'deadlock'],
  experiments: [frozen, timeouts, everyLevel, poolExhaustion, deadlock],
};
