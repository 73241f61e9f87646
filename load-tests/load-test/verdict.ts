import type { Claim } from '../../src/likes/strategy.ts';

/** The observations of a subject: numbers of increments, unless stated otherwise. */
export interface Observation {
  /** The final like count, from zero. */
  likes: number;
  acknowledged: number;
  /** Increments of calls that failed or were not answered: each may count or not. */
  open: number;
  /** Those of the open ones whose wait or retries timed out. */
  late: number;
  /** Attempts that met a conflict. */
  conflicts: number;
  /** The number of concurrent writers. */
  contention: number;
}

export interface Verdict {
  /** null: the service was too slow to tell. */
  holds: boolean | null;
  /** In a few words. */
  verdict: string;
}

/** Whether the count is what the claim says it must be. A single caller has no conflicts. */
export function judge(claim: Claim, observation: Observation): Verdict {
  const { likes, acknowledged, open, late, conflicts, contention } = observation;
  const lost = acknowledged - likes;
  const mustLose = claim === 'loses' && contention > 1;
  if (likes > acknowledged + open)
    return { holds: false, verdict: `${likes - acknowledged - open} too many` };
  if (lost > 0) {
    return mustLose
      ? { holds: true, verdict: `lost ${lost} (expected)` }
      : { holds: false, verdict: `LOST ${lost}` };
  }
  if (late > 0) return { holds: null, verdict: `inconclusive: too slow to tell, ${late} timed out` };
  if (acknowledged === 0) return { holds: false, verdict: 'nothing was acknowledged' };
  if (mustLose) return { holds: false, verdict: 'lost nothing (unexpected)' };
  if (claim === 'rejects' && contention > 1 && conflicts === 0)
    return { holds: false, verdict: 'rejected nothing (unexpected)' };
  if (open > 0) return { holds: true, verdict: `within bounds: ${open} open` };
  if (claim === 'rejects' && contention > 1)
    return { holds: true, verdict: `lost none, ${conflicts} conflicts` };
  return { holds: true, verdict: conflicts > 0 ? `exact, ${conflicts} conflicts` : 'exact' };
}
