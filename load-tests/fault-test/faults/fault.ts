import type { Exchange } from '../callers/exchange.ts';
import type { Journal } from '../journal/journal.ts';
import type { Postgres } from '../world/postgres.ts';
import type { Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** What a fault is made in. */
export interface World {
  postgres: Postgres;
  replicas: readonly Replica[];
  exchange: Exchange;
  journal: Journal;
  random: Random;
  /** Aborted when the run is over. */
  signal: AbortSignal;
}

/** One way for something to break. */
export interface Fault {
  name: string;
  /**
   * What it happens to: one replica's network or process, so that others can happen to the other ones at the same
   * time; the database server, for all of them; or, `alone`, with nothing else at the same time, since it says what
   * must happen meanwhile.
   */
  scope: 'replica' | 'server' | 'alone';
  /**
   * Makes it, sees it happen, and heals it.
   *
   * @param replica where to make it, if it happens to one
   * @throws {MissedError} when it did not happen
   */
  make: (world: World, replica: Replica) => Promise<void>;
}

/** The fault was not made, so it must not be counted. */
export class MissedError extends Error {}

/**
 * Makes the fault, and lets every network pass again, whatever comes of it: a statement that was caught and never released
 * would keep its locks, and with them every request that needs them, until the end of the run.
 *
 * @throws {MissedError} when it did not happen
 */
export async function makeAndHeal(fault: Fault, world: World, replica: Replica): Promise<void> {
  try {
    await fault.make(world, replica);
  } finally {
    for (const { proxy } of world.replicas) proxy.heal();
  }
}

/** Tries to make a fault. */
const TRIES_MAX = 3;

/**
 * Makes a fault, again if it is missed.
 *
 * @returns why it could not be made; undefined: it was
 * @throws whatever else `make` throws; the signal's reason when the run is over
 */
export async function reasonMissed(
  make: () => Promise<void>,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await make();
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof MissedError)) throw error;
      if (attempt === TRIES_MAX) return error.message;
    }
  }
}

/** For what asks the database, which something else may have taken away. @throws {MissedError} */
export function orMissed(error: unknown): never {
  throw error instanceof MissedError ? error : new MissedError('the database was away', { cause: error });
}

/** How long a fault may take to happen and to be healed, in milliseconds. */
const STEP_MS_MAX = 20_000;

/** For one step of a fault: aborted with the run, or when it takes too long. */
export const bounded = ({ signal }: Pick<World, 'signal'>): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(STEP_MS_MAX)]);

/** @throws {MissedError} when it takes too long */
export async function within<T>(world: Pick<World, 'signal'>, step: Promise<T>, what: string): Promise<T> {
  const signal = bounded(world);
  const late = Promise.withResolvers<never>();
  const give = () => late.reject(new MissedError(`waited too long for ${what}`));
  signal.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([step, late.promise]);
  } finally {
    signal.removeEventListener('abort', give);
  }
}
