import type { Traffic } from '../callers/traffic.ts';
import { rules, type Violation } from '../checks/violation.ts';
import { type Defect, defects } from './defects.ts';
import type { Fault } from '../faults/fault.ts';
import { faultNamed } from '../faults/index.ts';
import type { Postgres } from '../world/postgres.ts';
import { run, type RunOptions } from '../run.ts';

/** What exposes a defect. */
interface Exposure {
  /** The fault, if it needs one. */
  fault?: Fault;
  /** Traffic with which any batch hit by the fault exposes it. */
  traffic?: Traffic;
  /** The number of service processes: 1 by default. */
  replicas?: number;
}

const exposedBy: Record<Defect, Exposure> = {
  'answers before the commit': {
    fault: faultNamed('SIGKILL of a replica during a commit'),
    traffic: 'shared',
  },
  'answers a transaction before its commit': {
    fault: faultNamed('SIGKILL of a replica in a transaction, at COMMIT'),
    traffic: 'bounded',
  },
  'treats every lost commit as not applied': {
    fault: faultNamed('connection cut after the commit, before the answer'),
    traffic: 'unkeyed',
  },
  'treats every lost commit as applied': {
    fault: faultNamed('transaction cut before COMMIT'),
    traffic: 'bounded',
  },
  'does not check batch numbers': {
    fault: faultNamed('statement delivered after its retry'),
    traffic: 'unkeyed',
  },
  // Requests with a key would be found to be known.
  'does not check the numbers of transactions': {
    fault: faultNamed('transaction delivered after its number was closed'),
    traffic: 'mixed',
  },
  'guesses the outcome after its writer was removed': {
    fault: faultNamed('SIGSTOP of a replica, writer removed after the commit'),
    traffic: 'unkeyed',
  },
  'decides without locks': { traffic: 'bounded', replicas: 2 },
  'ignores keys': {},
  'counts known keys again': {},
  'refuses the whole batch on a lock': { fault: faultNamed('counter locked by another session') },
  'skips the last counter of a bulk': {},
  'reads from a cache': {},
};

export interface ControlResult {
  defect: Defect;
  /** The rules that were broken; if there are none, the checker missed the defect. */
  by: Violation['rule'][];
}

/**
 * Runs the service with one defect after another (positive controls). Each defect must break a rule; otherwise, a run
 * without violations would prove nothing.
 */
export async function runControls(
  postgres: Postgres,
  options: Pick<RunOptions, 'seed' | 'journal' | 'signal'>,
  these: readonly Defect[] = defects,
): Promise<ControlResult[]> {
  const results: ControlResult[] = [];
  for (const defect of these) {
    const { fault, traffic = 'mixed', replicas = 1 } = exposedBy[defect];
    const { violations } = await run(postgres, {
      ...options,
      acknowledged: 1000,
      faults: fault ? [fault] : [],
      traffic,
      replicas,
      clients: 32,
      program: 'load-tests/fault-test/controls/defective-service.ts',
      env: { DEFECT: defect },
    });
    results.push({ defect, by: [...new Set(violations.map(({ rule }) => rule))] });
    await postgres.empty();
  }
  return results;
}

export const controlRows = (results: readonly ControlResult[]): string[][] =>
  results.map(({ defect, by }) => [
    by.length > 0 ? '✓' : '✗',
    defect,
    by.length > 0 ? `detected: ${by.map((rule) => rules[rule]).join('; ')}` : 'NOT DETECTED',
  ]);
