import { progress } from '../../../src/command-line/progress.ts';
import { table } from '../../../src/command-line/table.ts';
import { spread } from '../../shared/spread.ts';
import { bulkSubjects } from './subjects.ts';
import type { Turn, Workbench } from './workbench.ts';

/** The number of callers, each of which sends one bulk after another. */
const CALLERS = 16;

/** Measures each kind of bulk in turn. The first round is a warm-up. */
export async function bulks(
  bench: Workbench,
  { rounds, sliceMs, signal }: { rounds: number; sliceMs: number; signal: AbortSignal },
): Promise<Turn[][]> {
  const measured: Turn[][] = [];
  for (let round = 0; round <= rounds; round += 1) {
    signal.throwIfAborted();
    progress('bulks', round, rounds + 1);
    const turns: Turn[] = [];
    for (const subject of bulkSubjects)
      turns.push(await bench.turn(subject, { connections: CALLERS, ms: sliceMs }));
    if (round > 0) measured.push(turns);
  }
  return measured;
}

export function bulksTable(rounds: readonly Turn[][]): string {
  const rows = bulkSubjects.map(({ name, bulk }, i) => {
    const figure = (of: (turn: Turn) => number) =>
      spread(rounds.flatMap((turns) => (turns[i] ? [of(turns[i])] : [])));
    const speed = figure(({ seen }) => seen.perSecond * (bulk?.increments ?? 1));
    const refused = figure(({ seen: { answers } }) => {
      const { 200: served = 0, 503: refusals = 0 } = answers;
      return (100 * refusals) / Math.max(1, served + refusals);
    });
    const ms = figure(({ seen }) => seen.served.p99);
    return [name, speed.median, speed.min, speed.max, `${refused.median.toFixed(1)} %`, ms.median.toFixed(0)];
  });
  return table([`${CALLERS} callers`, 'increments a second', 'lowest', 'highest', 'refused', 'p99 ms'], rows);
}
