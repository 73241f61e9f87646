import { table } from '../../../src/command-line/table.ts';
import type { Spread } from '../../shared/spread.ts';

/** A figure divided by another one of the same round, over all rounds, and its target. */
export interface Ratio {
  name: string;
  spread: Spread;
  /** Undefined: there is no target. */
  atLeast?: number;
  aim?: number;
}

/** Compares the median with the target; the spread shows the machine's noise. */
export const isMissed = ({ spread, atLeast }: Ratio): boolean =>
  atLeast !== undefined && !(spread.median >= atLeast);

export function ratiosTable(ratios: readonly Ratio[]): string {
  const rows = ratios.map((ratio) => [
    ratio.name,
    digits(ratio.spread.median),
    `${digits(ratio.spread.min)} to ${digits(ratio.spread.max)}`,
    String(ratio.atLeast ?? ''),
    String(ratio.aim ?? ''),
    verdict(ratio),
  ]);
  return table(['ratio', 'median', 'lowest to highest', 'at least', 'aim', ''], rows);
}

const digits = (value: number): string => value.toFixed(value >= 10 ? 1 : 2);

function verdict(ratio: Ratio): string {
  if (isMissed(ratio)) return 'MISSED';
  if (ratio.aim === undefined) return '';
  return ratio.spread.median >= ratio.aim ? 'reached' : 'enough';
}
