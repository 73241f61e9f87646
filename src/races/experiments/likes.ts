import type { Experiment } from './experiment.ts';

/** There is no end of likes: all that matters is that each one counts, which the rules of a counter say. */
export const likes: Experiment = {
  name: 'likes',
  summary: 'Every like that is acknowledged must count.',
  takes: () => true,
  stockOf: () => null,
  violations: () => [],
};
