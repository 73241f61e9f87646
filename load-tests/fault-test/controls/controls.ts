import type { Traffic } from '../callers/traffic.ts';
import { rules, type Violation } from '../checks/violation.ts';
import { type Defect, defects } from './defects.ts';
import type { Fault } from '../faults/fault.ts';
import { faultNamed } from '../faults/index.ts';
import type { Postgres } from '../world/postgres.ts';
import { run, type RunOptions } from '../run.ts';

/** Under which fault a defect must show, if any, and what is sent meanwhile, so that it does whichever batch is hit. */
const shows: Record<Defect, { fault?: Fault; traffic?: Traffic }> = {
  'answer before commit': {
    fault: faultNamed('SIGKILL of a replica during a commit'),
    traffic: 'shared',
  },
  'fence off': { fault: faultNamed('cut after the commit, before its answer'), traffic: 'unkeyed' },
  'numbers not checked': { fault: faultNamed('cut after the commit, before its answer'), traffic: 'unkeyed' },
  'guess when forgotten': {
    fault: faultNamed('SIGSTOP of a replica, its writer removed after the commit'),
    traffic: 'unkeyed',
  },
  'keys off': {},
  'keys ignored': {},
  'neighbours refused': { fault: faultNamed('a counter locked by another session') },
  'bulk in part': {},
  'stale reads': {},
};

interface CaughtDefect {
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
  options: Pick<RunOptions, 'seed' | 'journal' | 'signal'>,
  these: readonly Defect[] = defects,
): Promise<CaughtDefect[]> {
  const caught: CaughtDefect[] = [];
  for (const defect of these) {
    const { fault, traffic = 'mixed' } = shows[defect];
    const { violations } = await run(postgres, {
      ...options,
      acknowledged: 1000,
      faults: fault ? [fault] : [],
      traffic,
      replicas: 1,
      clients: 32,
      program: 'load-tests/fault-test/controls/defective-service.ts',
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
