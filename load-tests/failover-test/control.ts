import { seeded } from '../fault-test/world/random.ts';
import { Cluster, type ClusterOptions } from './cluster/cluster.ts';
import { killedWhileStandbysLag } from './faults/waiting-commits.ts';
import { runRound, type RoundOptions } from './round.ts';

/** The checker's findings under one kind of replication. */
export interface Control {
  replication: 'asynchronous' | 'strict synchronous';
  lost: number;
  doubled: number;
  /** The number of violated rules. */
  broken: number;
}

type Options = Pick<ClusterOptions, 'programs' | 'logs'> &
  Pick<RoundOptions, 'replicas' | 'clients' | 'journal' | 'signal'> & { seed: number };

/**
 * The same fault on two clusters. With asynchronous replication it loses acknowledged increments, which the checker has to
 * find (positive control); with strict synchronous replication it must lose none.
 */
export async function runControls({ seed, journal, ...options }: Options): Promise<Control[]> {
  const controls: Control[] = [];
  for (const replication of ['asynchronous', 'strict synchronous'] as const) {
    const random = seeded(seed);
    const synchronous = replication === 'strict synchronous';
    const { damage, violations } = await Cluster.with({ ...options, synchronous }, (cluster) =>
      runRound(cluster, {
        ...options,
        random,
        faults: [killedWhileStandbysLag],
        way: 'haproxy',
        journal: `${journal}.${synchronous ? 'synchronous' : 'asynchronous'}`,
      }),
    );
    controls.push({
      replication,
      lost: damage.reduce((sum, { lost }) => sum + lost, 0),
      doubled: damage.reduce((sum, { doubled }) => sum + doubled, 0),
      broken: violations.length,
    });
  }
  return controls;
}

/** Whether both clusters show the expected result. */
export const isAsExpected = ({ replication, lost, doubled, broken }: Control): boolean =>
  replication === 'asynchronous' ? lost > 0 && broken > 0 : lost + doubled + broken === 0;

export const controlRows = (controls: readonly Control[]): (string | number)[][] =>
  controls.map((control) => [
    isAsExpected(control) ? '✓' : '✗',
    control.replication,
    control.lost,
    control.doubled,
    control.broken,
  ]);
