import { progress } from '../../../src/command-line/progress.ts';
import { httpSubjects } from './subjects.ts';
import { type Turn, Workbench } from './workbench.ts';

/** One round of requests that come whether or not those before are answered, beside what the service could do just then. */
export interface OverloadRound {
  /** A closed loop: as much as the service can do. */
  peak: Turn;
  /** Arrivals at 0.7 of that. */
  calm: Turn;
  /** Arrivals at 3 times that, for as many connections as the service has room in its queue. */
  tripled: Turn;
  /** The same with a queue so short that most are refused. */
  refusing: Turn;
  /** What that service could do just then. */
  refusingPeak: Turn;
}

export const CALM = 0.7;
export const OVERLOAD = 3;

/** Connections of the overload: far more than are busy at the peak. */
export const CROWD = 1000;

/** Of the peak's closed loop. */
const PEAK_CONNECTIONS = 128;

/** Increments that wait at most in the service that must refuse: four batches at the peak. */
export const SHORT_QUEUE = 256;

/** A turn of an open loop takes so many slices: its rarest answers need more requests. */
const SLICES = 4;

/**
 * Open loops, for their latency and for what becomes of too many; the first round is for warming up.
 *
 * @param roomy a service as it usually is
 */
export async function overload(
  roomy: Workbench,
  databaseUrl: string,
  { rounds, sliceMs, signal }: { rounds: number; sliceMs: number; signal: AbortSignal },
): Promise<OverloadRound[]> {
  const short = await Workbench.open(databaseUrl, { COUNTER_QUEUE_MAX: String(SHORT_QUEUE) });
  try {
    const measured: OverloadRound[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      signal.throwIfAborted();
      progress('open loops', round, rounds + 1);
      const one = await openLoops(roomy, short, sliceMs);
      if (round > 0) measured.push(one);
    }
    return measured;
  } finally {
    await short.close();
  }
}

async function openLoops(roomy: Workbench, short: Workbench, sliceMs: number): Promise<OverloadRound> {
  const ms = sliceMs * SLICES;
  const closed = { connections: PEAK_CONNECTIONS, ms: sliceMs };
  const { hot } = httpSubjects;
  const peak = await roomy.turn(hot, closed);
  const at = (one: Turn, times: number, whenBusy: 'wait' | 'give up') => ({
    connections: CROWD,
    ms,
    arrivals: { perSecond: Math.max(1, one.seen.perSecond * times), whenBusy },
  });
  const calm = await roomy.turn(hot, at(peak, CALM, 'wait'));
  const tripled = await roomy.turn(hot, at(peak, OVERLOAD, 'give up'));
  const refusingPeak = await short.turn(hot, closed);
  const refusing = await short.turn(hot, at(refusingPeak, OVERLOAD, 'give up'));
  return { peak, calm, tripled, refusing, refusingPeak };
}
