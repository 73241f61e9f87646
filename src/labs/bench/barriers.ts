import type { Scratch } from './scratch.ts';

/** The key of an advisory lock that only this experiment uses. */
const KEY = 'hashtext(current_schema())';

/** A statement of a transaction that waits until the gate is open. */
export const PASS_GATE = `select pg_advisory_xact_lock_shared(${KEY})`;

/** Closes the gate; returns the function that opens it. */
export async function closeGate(scratch: Scratch): Promise<() => Promise<unknown>> {
  const keeper = await scratch.connect('gate keeper');
  await keeper.query(`select pg_advisory_lock(${KEY})`);
  return () => keeper.query(`select pg_advisory_unlock(${KEY})`);
}

/** A barrier: each task waits until all `count` tasks have arrived, so that they continue at the same time. */
export function meetingOf(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let missing = count;
  return () => {
    missing -= 1;
    if (missing === 0) resolve();
    return promise;
  };
}
