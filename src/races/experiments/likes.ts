import type { Experiment } from './experiment.ts';

/** The number of likes is unlimited, so the rules of a counter are sufficient: each acknowledged like must count. */
export const likes: Experiment = {
  name: 'likes',
  summary: 'Every like that is acknowledged must count.',
  takes: () => true,
  stockOf: () => null,
  violations: () => [],
};
