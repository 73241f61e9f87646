import { table } from '../../src/command-line/table.ts';
import { addOutcomes, noOutcomes, type Outcomes } from '../fault-test/checks/outcomes.ts';
import { isLegitimateRefusal } from '../fault-test/journal/operation.ts';
import type { RolloutResult } from './rollout.ts';

type Findings = Pick<RolloutResult, 'history' | 'damage' | 'resolved'>;

/** The outcomes of requests during each step. */
export function outcomesOf(result: Findings): Outcomes[] {
  const outcomes = result.history.faults.map(noOutcomes);
  addOutcomes(outcomes, result);
  return outcomes;
}

/** The table of a rollout: one row for each step, from its start to the start of the next one. */
export function stepTable(result: Findings & Pick<RolloutResult, 'gapsMs'>): string {
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
 * The number of refusals by code, without legitimate ones. `ECONNREFUSED`: no process listened. Callers retry with another
 * replica.
 */
export function refusalsOf({ history }: Pick<RolloutResult, 'history'>): Map<string, number> {
  const refused = history.operations.filter((one) => one.outcome === 'refused' && !isLegitimateRefusal(one));
  const byCode = Map.groupBy(refused, ({ code }) => code ?? 'none');
  return new Map([...byCode].map(([code, operations]) => [code, operations.length]));
}
