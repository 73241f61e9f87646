import { setTimeout } from 'node:timers/promises';
import type { Settlement } from '../../../src/counters/lane.ts';
import { anyWrite, type Caught, type Trap, type Wanted } from '../network/trap.ts';
import type { Replica } from '../world/replica.ts';
import { bounded, MissedError, within, type World } from './fault.ts';

/** Between two looks at the service's figures, in milliseconds. */
const POLL_MS = 50;

/** @throws {MissedError} when no such statement comes in time */
export async function caughtBy(
  trap: Trap,
  world: World,
  { proxy }: Replica,
  wanted: Wanted = anyWrite,
): Promise<Caught> {
  try {
    return await proxy.trap(trap, bounded(world), wanted);
  } catch (error) {
    throw new MissedError('no such statement came', { cause: error });
  }
}

/** A write that was committed: those that the server refuses, or whose keys are known, have their answers. */
export async function committedIn(trap: Trap, world: World, replica: Replica): Promise<Caught> {
  const signal = bounded(world);
  while (!signal.aborted) {
    const caught = await caughtBy(trap, world, replica);
    if ((await within(world, caught.outcome, 'the server to answer')) === 'committed') return caught;
    caught.release();
  }
  throw new MissedError('nothing was committed');
}

/** @throws {MissedError} when the server says something else */
export async function expectOutcome(world: World, { outcome }: Caught, expected: string[]): Promise<void> {
  const seen = await within(world, outcome, 'the server to answer');
  if (!expected.includes(seen)) throw new MissedError(`the server said ${seen}`);
}

/**
 * Runs `work`, and waits until the service has found out this about a lost answer.
 *
 * @throws {MissedError} when it does not in time
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
    if (signal.aborted) throw new MissedError(`the service found nothing ${settlement}`);
    await setTimeout(POLL_MS);
  }
}
