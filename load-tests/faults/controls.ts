import { rules, type Violation } from './checker.ts';
import { type Defect, defects } from './defects.ts';
import { faults } from './faults.ts';
import type { Postgres } from './postgres.ts';
import { run, type RunOptions } from './run.ts';

/** Under which fault a defect must show, if any, and how often it takes: a batch may have no increment without a key. */
const shows: Record<Defect, [fault: string, times: number]> = {
  'answer before commit': ['SIGKILL of a replica', 1],
  'fence off': ['cut after the commit, before its answer', 8],
  'keys off': ['', 0],
  'keys ignored': ['', 0],
};

export interface CaughtDefect {
  defect: Defect;
  /** The rules that were broken; none: it was not caught. */
  by: Violation['rule'][];
}

/**
 * Runs the service with one defect after another. Each must break a rule: a checker that finds nothing wrong with
 * them would find nothing wrong with anything.
 */
export async function runControls(
  postgres: Postgres,
  options: Pick<RunOptions, 'seed' | 'journal' | 'signal' | 'onProgress'>,
): Promise<CaughtDefect[]> {
  const caught: CaughtDefect[] = [];
  for (const defect of defects) {
    const [name, times] = shows[defect];
    const fault = faults.find((one) => one.name === name);
    const { violations } = await run(postgres, {
      ...options,
      acknowledged: 2000,
      faults: Array.from({ length: times }, () => fault ?? []).flat(),
      replicas: 1,
      clients: 32,
      program: 'load-tests/faults/defective.ts',
      env: { DEFECT: defect },
    });
    caught.push({ defect, by: [...new Set(violations.map(({ rule }) => rule))] });
    await postgres.empty();
  }
  return caught;
}

export const controlRows = (caught: readonly CaughtDefect[]): string[][] =>
  caught.map(({ defect, by }) => [
    by.length > 0 ? '✓' : '✗',
    defect,
    by.length > 0 ? `caught: ${by.map((rule) => rules[rule]).join('; ')}` : 'NOT CAUGHT',
  ]);
