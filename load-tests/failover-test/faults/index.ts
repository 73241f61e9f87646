import { type Random, shuffled } from '../../fault-test/world/random.ts';
import type { Fault } from './fault.ts';
import { networkFaults } from './networks.ts';
import { nodeFaults } from './nodes.ts';
import { waitingFaults } from './waiting-commits.ts';

export const faults: readonly Fault[] = [...nodeFaults, ...networkFaults, ...waitingFaults];

/** Each fault once, in an order that depends on the seed alone. */
export const roundOf = (random: Random, these = faults): Fault[] => shuffled(random, these);
