import type { Lab } from '../bench/experiment.ts';
import { plainValue } from './plain-value.ts';
import { resultCache } from './result-cache.ts';
import { roundTrip } from './round-trip.ts';
import { sharedReference } from './shared-reference.ts';
import { staleWrite } from './stale-write.ts';

export const state: Lab = {
  name: 'state',
  summary:
    'What an entity becomes after a round trip through a cache, what goes wrong when it is still used as an entity, and what to cache instead.',
  terms: ['entity', 'flush', 'version property', 'result cache', 'time to live'],
  experiments: [roundTrip, sharedReference, staleWrite, resultCache, plainValue],
};
