import { writeFile } from 'node:fs/promises';
import { messageOf } from '../../src/errors/caught.ts';
import type { Violation } from '../fault-test/checks/violation.ts';
import { seeded } from '../fault-test/world/random.ts';
import { spread } from '../shared/spread.ts';
import { Cluster, type ClusterOptions } from './cluster/cluster.ts';
import { type Way, ways } from './cluster/entrance.ts';
import { faults, roundOf } from './faults/index.ts';
import { runRound, type RoundOptions } from './round.ts';
import { addRound, inOrder, sumOf, type Tally } from './tally.ts';
import { HAPROXY, PATRONI } from './timing.ts';

export interface SessionOptions
  extends Pick<ClusterOptions, 'programs' | 'logs'>,
    Omit<RoundOptions, 'faults' | 'random' | 'way'> {
  rounds: number;
  /** Selects the faults whose names contain this text. */
  only?: string | undefined;
  /** How the service reaches the primary; by default, each round uses another way. */
  way?: Way | undefined;
  seed: number;
}

/** The results of all rounds. */
export interface Session {
  tally: Tally;
  violations: Violation[];
  /** The faults that could not be injected, with the reasons. */
  missed: string[];
  /** Why it ended before its last round, if it did. */
  failure?: string;
  elapsedMs: number;
}

/**
 * Injects every fault once in each round, all on one cluster. If the cluster or the service does not recover, the session
 * ends with the results of the rounds before.
 */
export async function runSession(options: SessionOptions): Promise<Session> {
  const { rounds, seed, signal, only = '', way, journal } = options;
  const startedAt = performance.now();
  const random = seeded(seed);
  const these = faults.filter(({ name }) => name.includes(only));
  const session: Session = { tally: new Map(), violations: [], missed: [], elapsedMs: 0 };
  try {
    await Cluster.with({ ...options, synchronous: true }, async (cluster) => {
      for (let number = 1; number <= rounds; number += 1) {
        const round = await runRound(cluster, {
          ...options,
          random,
          faults: roundOf(random, these),
          way: way ?? ways[(number - 1) % ways.length] ?? 'haproxy',
          journal: `${journal}.${number}`,
        });
        addRound(session.tally, round);
        session.violations.push(...round.violations);
        for (const [i, why] of round.missed) session.missed.push(`${round.history.faults[i]}: ${why}`);
      }
    });
  } catch (error) {
    signal.throwIfAborted();
    session.failure = messageOf(error);
  }
  session.elapsedMs = performance.now() - startedAt;
  return session;
}

/** Whether nothing was lost or doubled, no rule was violated, and every fault was injected. */
export function holds({ tally, violations, missed, failure }: Session): boolean {
  const { lost, doubled } = sumOf(tally);
  return lost + doubled + violations.length + missed.length === 0 && failure === undefined;
}

/** Writes the figures to a JSON file. */
export async function writeJson(
  file: string,
  session: Session,
  about: { seed: number; rounds: number; versions: Record<string, string> },
): Promise<void> {
  const { tally, violations, missed, failure, elapsedMs } = session;
  const perFault = inOrder(tally).map(([fault, { gapsMs, servedMs, ...counts }]) => ({
    fault,
    ...counts,
    gapMsMedian: Math.round(spread(gapsMs).median),
    gapMsMax: Math.round(spread(gapsMs).max),
    gapsMs: gapsMs.map(Math.round),
    servedMs: servedMs.map(Math.round),
  }));
  const { lost, doubled } = sumOf(tally);
  const json = {
    ...about,
    patroni: PATRONI,
    haproxy: HAPROXY,
    faults: perFault,
    lost,
    doubled,
    violations,
    missed,
    failure,
    elapsedMs: Math.round(elapsedMs),
  };
  await writeFile(file, `${JSON.stringify(json, undefined, 2)}\n`);
}
