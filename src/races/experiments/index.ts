import type { Experiment } from './experiment.ts';
import { likes } from './likes.ts';
import { tickets } from './tickets.ts';

/** What strategies can race for; the first one unless another is asked for. */
export const experiments: readonly [Experiment, ...Experiment[]] = [likes, tickets];
