import type { Callers } from '../callers/callers.ts';
import type { Exchange } from '../callers/exchange.ts';
import type { Journal } from '../journal/journal.ts';
import type { Postgres } from '../world/postgres.ts';
import type { Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** What a fault can act on. */
export interface World {
  postgres: Postgres;
  replicas: readonly Replica[];
  callers: Pick<Callers, 'ensureTraffic'>;
  exchange: Exchange;
  journal: Journal;
  random: Random;
  /** Aborted when the run ends. */
  signal: AbortSignal;
}

/** A fault that can be injected. */
export interface Fault {
  name: string;
  /**
   * - `replica`: it affects the network or the process of one replica, so other replicas can have faults at the same time;
   * - `server`: it affects the database server, and so all replicas;
   * - `alone`: it allows no other fault at the same time, because it checks how requests are served meanwhile.
   */
  scope: 'replica' | 'server' | 'alone';
  /**
   * Injects the fault, observes its effect, and removes it.
   *
   * @param replica the affected replica, if the fault affects only one
   * @throws {MissedError} if the effect was not observed
   */
  inject: (world: World, replica: Replica) => Promise<void>;
}

/** The effect of the fault was not observed, so the fault does not count as injected. */
export class MissedError extends Error {}

/**
 * Injects the fault, and restores all networks in any case: an intercepted statement that is never released would hold its
 * locks, and block every request that needs them, until the end of the run.
 *
 * @throws {MissedError} if the effect was not observed
 */
export async function injectAndHeal(fault: Fault, world: World, replica: Replica): Promise<void> {
  try {
    await fault.inject(world, replica);
  } finally {
    for (const { proxy } of world.replicas) proxy.heal();
  }
}

/** The most attempts to inject a fault. */
const ATTEMPTS_MAX = 3;

/**
 * Injects a fault, with retries if its effect is not observed.
 *
 * @returns why it could not be injected; undefined: it was injected
 * @throws any other error of `inject`; the signal's reason if the run has ended
 */
export async function reasonMissed(
  inject: () => Promise<void>,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await inject();
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof MissedError)) throw error;
      if (attempt === ATTEMPTS_MAX) return error.message;
    }
  }
}

/** Handles errors of queries that fail if another fault has made the database unavailable. @throws {MissedError} */
export function orMissed(error: unknown): never {
  throw error instanceof MissedError
    ? error
    : new MissedError('the database was unavailable', { cause: error });
}

/** The time limit for one step of a fault, in milliseconds. */
const STEP_MS_MAX = 20_000;

/** A signal for one step of a fault: aborted when the run ends or the time limit is reached. */
export const bounded = ({ signal }: Pick<World, 'signal'>): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(STEP_MS_MAX)]);

/** Waits for one step of a fault. @throws {MissedError} at the time limit */
export async function within<T>(world: Pick<World, 'signal'>, step: Promise<T>, what: string): Promise<T> {
  const signal = bounded(world);
  const late = Promise.withResolvers<never>();
  const onAbort = () => late.reject(new MissedError(`waited more than ${STEP_MS_MAX / 1000} s for ${what}`));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([step, late.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
