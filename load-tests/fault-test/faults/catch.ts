import { setTimeout } from 'node:timers/promises';
import type { Settlement } from '../../../src/counters/lane.ts';
import { anyWrite, type Caught, type Trap, type Wanted } from '../network/trap.ts';
import type { Replica } from '../world/replica.ts';
import { bounded, MissedError, within, type World } from './fault.ts';

/** The interval between two scrapes of the service's metrics, in milliseconds. */
const POLL_MS = 50;

/**
 * Intercepts the next statement of a replica that matches.
 *
 * @throws {MissedError} if there is none within the time limit
 */
export async function intercept(
  trap: Trap,
  world: World,
  { proxy }: Replica,
  wanted: Wanted = anyWrite,
): Promise<Caught> {
  try {
    return await proxy.trap(trap, bounded(world), wanted);
  } catch (error) {
    throw new MissedError('the service sent no such statement', { cause: error });
  }
}

/** Intercepts a write that the server commits. Writes that are refused or have only known keys are passed on. */
export async function interceptCommit(trap: Trap, world: World, replica: Replica): Promise<Caught> {
  const signal = bounded(world);
  while (!signal.aborted) {
    const caught = await intercept(trap, world, replica);
    if ((await within(world, caught.outcome, 'the server to answer')) === 'committed') return caught;
    caught.release();
  }
  throw new MissedError('the server committed no write');
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
