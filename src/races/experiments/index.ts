import type { Experiment } from './experiment.ts';
import { likes } from './likes.ts';
import { tickets } from './tickets.ts';

/** The kinds of races; the first one is the default. */
export const experiments: readonly [Experiment, ...Experiment[]] = [likes, tickets];
