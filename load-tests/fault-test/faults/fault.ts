import type { Postgres } from '../world/postgres.ts';
import type { Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** What a fault is made in. */
export interface World {
  postgres: Postgres;
  replicas: readonly Replica[];
  random: Random;
  /** Aborted when the run is over. */
  signal: AbortSignal;
}

/** One way for something to break. */
export interface Fault {
  name: string;
  /** Whether it happens to one replica's network or process alone, so that others can happen at the same time. */
  local: boolean;
  /**
   * Makes it, sees it happen, and heals it.
   *
   * @param replica where to make it, if it is local
   * @throws {MissedError} when it did not happen
   */
  make: (world: World, replica: Replica) => Promise<void>;
}

/** The fault was not made, so it must not be counted. */
export class MissedError extends Error {}

/** How long a fault may take to happen and to be healed, in milliseconds. */
const STEP_MS_MAX = 20_000;

/** For one step of a fault: aborted with the run, or when it takes too long. */
export const bounded = ({ signal }: World): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(STEP_MS_MAX)]);

/** @throws {MissedError} when it takes too long */
export async function within<T>(world: World, step: Promise<T>, what: string): Promise<T> {
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
