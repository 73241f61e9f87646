import { randomUUID } from 'node:crypto';
import { retry } from '../concurrency/retry.ts';
import { ConnectionError, failureOf } from '../database/failure.ts';
import { Problem } from '../errors/problem.ts';
import type { Batch } from './batch.ts';
import { type CounterStore, RECEIPT_HOURS, type Written } from './store.ts';

/** Half of the time for which a receipt is kept, in milliseconds: clocks differ, and asking takes time. */
const RECEIPT_MS_MAX = (RECEIPT_HOURS / 2) * 3_600_000;

/** What was found out about a commit whose answer was lost. */
export const settlements = ['applied', 'not applied', 'unknown'] as const;
export type Settlement = (typeof settlements)[number];

export interface SettleOptions {
  /** How long a lost answer is asked for, in milliseconds. */
  settleMsMax: number;
  onSettled: (settlement: Settlement) => void;
}

/**
 * Writes a batch once, and knows what became of it, whatever becomes of the connection: who lost the answer closes the
 * attempt, so that it cannot be applied any more, and finds its receipt, or none.
 *
 * @throws {ConnectionError} `lost`: the answer was lost, and nothing was applied nor will be
 * @throws {Problem} `outcome_unknown` when the database could not be asked in time
 * @throws whatever the server refused it for: nothing was applied
 */
export async function writeOnce(store: CounterStore, batch: Batch, options: SettleOptions): Promise<Written> {
  const attempt = randomUUID();
  const startedAt = Date.now();
  try {
    return await store.write(batch, attempt);
  } catch (error) {
    if (failureOf(error) !== 'unknown') throw error;
    // A process can be stopped, and so can a machine: by the time it goes on, the receipt may be gone.
    const receiptsKept = Date.now() - startedAt < RECEIPT_MS_MAX;
    if (!receiptsKept) {
      options.onSettled('unknown');
      throw unknown(error);
    }
    const values = await settle(store, attempt, options);
    if (!values) throw new ConnectionError('lost', 'the connection broke before anything was applied', error);
    return {
      after: new Map(batch.deltas.map(({ name }, i) => [name, values[i] ?? Number.NaN])),
      kept: new Map(),
    };
  }
}

async function settle(
  store: CounterStore,
  attempt: string,
  { settleMsMax, onSettled }: SettleOptions,
): Promise<number[] | undefined> {
  try {
    const values = await retry(() => store.close(attempt), {
      attemptsMax: 1000,
      elapsedMsMax: settleMsMax,
      delayMsBase: 10,
      delayMsMax: 250,
      retryable: () => true,
    });
    onSettled(values ? 'applied' : 'not applied');
    return values;
  } catch (error) {
    onSettled('unknown');
    throw unknown(error);
  }
}

const unknown = (cause: unknown) =>
  new Problem(
    'outcome_unknown',
    'the connection broke while the commit was in flight; the same Idempotency-Key finds out what became of it',
    { cause },
  );
