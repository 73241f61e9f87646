import { endpoints } from '../src/posts/endpoints.ts';
import type { Claim } from '../src/strategies/strategy.ts';

/** What a load test calls, and what must come of it. */
export interface Subject {
  name: string;
  path: string;
  claim: Claim;
  /** Calls at the same time; undefined: as many as asked for. */
  connections?: number;
}

/** Every endpoint that increments, at once; and `/inc` one call after another, which is how the seed saw it work. */
export const subjects: readonly Subject[] = [
  { name: '/inc, one call at a time', path: '/inc', claim: 'exact', connections: 1 },
  ...endpoints
    .filter(({ increments }) => increments > 1)
    .map(({ path, strategy }) => ({ name: path, path, claim: strategy.claim })),
];
