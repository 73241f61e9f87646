import { setTimeout } from 'node:timers/promises';
import type { Settlement } from '../../../src/counters/lane.ts';
import { type Traffic, traffics } from '../callers/traffic.ts';
import type { WriterStatement } from '../network/statements.ts';
import { anyCommit, type Caught, doing, type Trap, type Wanted } from '../network/trap.ts';
import type { Replica } from '../world/replica.ts';
import { bounded, MissedError, within, type World } from './fault.ts';

/** The interval between two scrapes of the service's metrics, in milliseconds. */
const POLL_MS = 50;

/** Statements of the writer, and the traffic with which the service sends them. */
export interface Moment {
  wanted: Wanted;
  traffics: readonly Traffic[];
}

const inTransaction = (does: 'begin' | 'lock' | 'apply' | 'commit'): Moment => ({
  wanted: doing(does),
  traffics: ['mixed', 'bounded'],
});

export const moments = {
  /** A plain batch, which commits itself. */
  plain: { wanted: doing('write'), traffics: ['mixed', 'unkeyed', 'shared', 'serial'] },
  /** Whatever commits next: a plain batch, or a transaction. */
  any: { wanted: anyCommit, traffics },
  begin: inTransaction('begin'),
  lock: inTransaction('lock'),
  apply: inTransaction('apply'),
  commit: inTransaction('commit'),
} as const satisfies Record<string, Moment>;

/** The statement with which the service closes the number of a batch whose answer was lost. */
export const closeOf = (lost: WriterStatement): Moment => ({
  wanted: ({ does, batch }) => does === 'close' && batch === lost.batch,
  traffics,
});

/**
 * Intercepts the next statement of a replica at this moment, and lets callers send it requests that lead to one.
 *
 * @throws {MissedError} if there is none within the time limit
 */
export async function intercept(trap: Trap, world: World, replica: Replica, moment: Moment): Promise<Caught> {
  world.callers.ensureTraffic(replica, moment.traffics);
  try {
    return await replica.proxy.trap(trap, bounded(world), moment.wanted);
  } catch (error) {
    throw new MissedError('the service sent no such statement', { cause: error });
  }
}

/** Intercepts a batch that the server commits. Those that are refused or have only known keys are passed on. */
export async function interceptCommit(
  trap: Trap,
  world: World,
  replica: Replica,
  moment: Moment,
): Promise<Caught> {
  const signal = bounded(world);
  while (!signal.aborted) {
    const caught = await intercept(trap, world, replica, moment);
    if ((await within(world, caught.outcome, 'the server to answer')) === 'committed') return caught;
    caught.release();
  }
  throw new MissedError('the server committed no batch');
}

/** @throws {MissedError} if the outcome is a different one */
export async function expectOutcome(world: World, { outcome }: Caught, expected: string[]): Promise<void> {
  const seen = await within(world, outcome, 'the server to answer');
  if (!expected.includes(seen))
    throw new MissedError(`the outcome was ${seen}, not ${expected.join(' or ')}`);
}

/**
 * Runs `work`, and waits until the service has determined this outcome of a lost commit.
 *
 * @throws {MissedError} if it has not within the time limit
 */
export async function untilSettled(
  world: World,
  replica: Replica,
  settlement: Settlement,
  work: () => Promise<void>,
): Promise<void> {
  const before = await replica.settled();
  await work();
  const signal = bounded(world);
  while ((await replica.settled())[settlement] <= before[settlement]) {
    if (signal.aborted) throw new MissedError(`the service determined no lost commit as ${settlement}`);
    await setTimeout(POLL_MS);
  }
}
