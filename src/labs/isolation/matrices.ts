import type { Findings } from '../bench/experiment.ts';
import { type Cells, type Phenomenon, phenomena } from './anomaly.ts';
import { byLevel, type Level } from '../bench/levels.ts';

type Word = 'possible' | 'not possible' | 'allowed, but not in PostgreSQL';

/** The phenomena that the SQL standard allows at each level. */
const allowed: Record<Level, readonly Phenomenon[]> = {
  'read uncommitted': phenomena,
  'read committed': ['nonrepeatable read', 'phantom read', 'serialization anomaly'],
  'repeatable read': ['phantom read', 'serialization anomaly'],
  serializable: [],
};

/** What PostgreSQL documents for each level (13.2, table 13.1), in the order of `phenomena`. */
const documented: Record<Level, readonly Word[]> = {
  'read uncommitted': ['allowed, but not in PostgreSQL', 'possible', 'possible', 'possible'],
  'read committed': ['not possible', 'possible', 'possible', 'possible'],
  'repeatable read': ['not possible', 'not possible', 'allowed, but not in PostgreSQL', 'possible'],
  serializable: ['not possible', 'not possible', 'not possible', 'not possible'],
};

/**
 * Builds both matrices from what was observed: each anomaly at each level, and PostgreSQL's own table.
 *
 * @param findings those of the schedules, by their names
 */
export function matrices(findings: ReadonlyMap<string, Findings>): Record<string, unknown> {
  const cells = new Map<string, Cells>();
  for (const [name, { figures }] of findings) {
    if ('cells' in figures) cells.set(name, figures.cells as Cells);
  }
  const table = byLevel((level) => {
    const seen = new Set([...cells.values()].flatMap((row) => row[level].phenomena));
    return phenomena.map((phenomenon) => word(level, phenomenon, seen.has(phenomenon)));
  });
  const asDocumented = Object.values(
    byLevel((level) => table[level].join() === documented[level].join()),
  ).every(Boolean);
  const verdicts = [...cells].map(([name, row]) => [name, byLevel((level) => row[level].verdict)] as const);
  return {
    anomalies: Object.fromEntries(verdicts),
    phenomena: byLevel((level) => Object.fromEntries(phenomena.map((name, i) => [name, table[level][i]]))),
    as_expected:
      asDocumented &&
      [...cells.values()].every((row) => Object.values(row).every((cell) => cell.as_expected)),
  };
}

function word(level: Level, phenomenon: Phenomenon, seen: boolean): Word {
  if (seen) return 'possible';
  return allowed[level].includes(phenomenon) ? 'allowed, but not in PostgreSQL' : 'not possible';
}
