import { table } from '../../src/command-line/table.ts';
import { addOutcomes, noOutcomes, type Outcomes } from '../fault-test/checks/outcomes.ts';
import { isDeserved } from '../fault-test/journal/operation.ts';
import type { RolloutResult } from './rollout.ts';

type Told = Pick<RolloutResult, 'history' | 'damage' | 'resolved'>;

/** What callers were told during each step. */
export function outcomesOf(result: Told): Outcomes[] {
  const outcomes = result.history.faults.map(noOutcomes);
  addOutcomes(outcomes, result);
  return outcomes;
}

/** A line for each step, until the next one began. */
export function stepTable(result: Told & Pick<RolloutResult, 'gapsMs'>): string {
  const rows = outcomesOf(result).map(({ acknowledged, refused, unknown, resolved, lost, doubled }, i) => [
    i === 0 ? 'before' : (result.history.faults[i] ?? ''),
    acknowledged,
    refused,
    unknown,
    resolved,
    result.gapsMs[i] ?? 0,
    lost,
    doubled,
  ]);
  return table(['step', 'acknowledged', 'refused', 'unknown', 'resolved', 'gap ms', 'lost', 'doubled'], rows);
}

/**
 * Refusals by their codes, of requests that could be served. `ECONNREFUSED`: there was no process to connect to. A caller
 * sends the request again, to whichever replica is there.
 */
export function refusalsOf({ history }: Pick<RolloutResult, 'history'>): Map<string, number> {
  const refused = history.operations.filter((one) => one.outcome === 'refused' && !isDeserved(one));
  const byCode = Map.groupBy(refused, ({ code }) => code ?? 'none');
  return new Map([...byCode].map(([code, those]) => [code, those.length]));
}
