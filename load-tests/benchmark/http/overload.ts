import { progress } from '../../../src/command-line/progress.ts';
import { httpSubjects } from './subjects.ts';
import { type Turn, Workbench } from './workbench.ts';

/** One round of open loops, beside the peak of a closed loop at that moment. */
export interface OverloadRound {
  /** A closed loop: the peak of the service. */
  peak: Turn;
  /** An open loop with 0.7 times as many arrivals as the peak. */
  calm: Turn;
  /** An open loop with 3 times as many arrivals as the peak, on far more connections than are busy at the peak. */
  tripled: Turn;
  /** The same with a queue so short that most are refused. */
  refusing: Turn;
  /** The peak of that service at that moment. */
  refusingPeak: Turn;
}

export const CALM = 0.7;
export const OVERLOAD = 3;

/** The number of connections for overload: far more than are busy at the peak. */
export const OVERLOAD_CONNECTIONS = 1000;

/** The number of connections of the closed loop. */
const PEAK_CONNECTIONS = 128;

/** The queue limit of the service that has to refuse: four batches at the peak. */
export const SHORT_QUEUE = 256;

/** The number of slices per turn of an open loop: high percentiles need many requests. */
const SLICES = 4;

/**
 * Measures open loops below and beyond the peak. The first round is a warm-up.
 *
 * @param roomy a service with the default queue limit
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
  const at = (one: Turn, times: number, whenBusy: 'wait' | 'drop') => ({
    connections: OVERLOAD_CONNECTIONS,
    ms,
    arrivals: { perSecond: Math.max(1, one.seen.perSecond * times), whenBusy },
  });
  const calm = await roomy.turn(hot, at(peak, CALM, 'wait'));
  const tripled = await roomy.turn(hot, at(peak, OVERLOAD, 'drop'));
  const refusingPeak = await short.turn(hot, closed);
  const refusing = await short.turn(hot, at(refusingPeak, OVERLOAD, 'drop'));
  return { peak, calm, tripled, refusing, refusingPeak };
}
