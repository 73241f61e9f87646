import type { Claim } from '../../src/strategies/strategy.ts';

/** What was seen of a subject. Increments, unless it says otherwise. */
export interface Observation {
  /** The final like count, from zero. */
  likes: number;
  acknowledged: number;
  /** Asked for in calls that were answered without a success or not at all: each may count or not. */
  open: number;
  /** Those of them that the service had no time for: it gave up waiting or trying. */
  late: number;
  /** Attempts that met a conflict. */
  conflicts: number;
  /** How many could have collided. */
  contention: number;
}

export interface Verdict {
  /** null: the service had not time enough to tell. */
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
      ? { holds: true, verdict: `loses, as it must: ${lost}` }
      : { holds: false, verdict: `LOST ${lost}` };
  }
  if (late > 0) return { holds: null, verdict: `inconclusive: too slow to tell, ${late} gave up` };
  if (acknowledged === 0) return { holds: false, verdict: 'nothing was acknowledged' };
  if (mustLose) return { holds: false, verdict: 'lost nothing' };
  if (claim === 'rejects' && contention > 1 && conflicts === 0)
    return { holds: false, verdict: 'rejected nothing' };
  if (open > 0) return { holds: true, verdict: `within bounds: ${open} open` };
  return { holds: true, verdict: conflicts > 0 ? `exact, ${conflicts} conflicts` : 'exact' };
}
