import type { Sessions } from '../database/sessions.ts';
import { codeOf } from '../errors/caught.ts';
import { type Ask, askIn } from './ask.ts';
import type { Batch } from './batch.ts';
import { type CounterRow, type CounterState, stateOf } from './counter.ts';
import { isSelective } from './selection.ts';
import {
  expiriesOf,
  leastsOf,
  mostsOf,
  numbers,
  parametersOf,
  timestampOf,
  WRITE_SELECTIVE,
} from './selective-statement.ts';
import { Statistics } from './statistics.ts';
import {
  ANALYZE_COUNTERS,
  ANALYZE_KEYS,
  CLOSE,
  KNOWN_KEYS,
  REGISTER,
  REMOVE_COUNTERS,
  REMOVE_KEYS,
  REMOVE_WRITERS,
  type Statement,
  UNLOCKED,
  STATES,
  SUPPOSED_COUNTERS,
  SUPPOSED_KEYS,
  WRITE,
  WRITE_KEYED,
  WRITE_ONE,
} from './statements.ts';

/** A request that was counted before, as stored with its idempotency key. */
export interface KnownRequest {
  key: string;
  /** The fingerprint of the request. */
  request: string;
  /** The values of its answer. */
  values: number[];
}

export interface Written {
  /** The value of each delta's counter after the batch; for a selective batch, the record that `verdictsOf` reads. */
  values: bigint[];
  /** The earlier requests under the keys of the batch. If there are any, nothing was counted. */
  known: KnownRequest[];
}

/** A portion of a removal. */
export interface Removed {
  count: number;
  /** Where the next portion begins. */
  last: string;
}

/** The identity of a batch: its writer, and a number that the writer gives to no other batch. */
export interface BatchId {
  /** A UUID. */
  writer: string;
  seq: number;
}

export interface StoreOptions {
  /** How long idempotency keys are kept, in hours. */
  keyHours: number;
  /** How long a batch may wait for each lock, in milliseconds. */
  lockMsMax: number;
  /** The schema of the tables; undefined: the search_path of the session applies. */
  schema?: string | undefined;
}

/** The planner never scans a table of so many rows for a few keys. */
const SMALL_ROWS = 10_000;

/** The counters in the database. Each method runs one statement, which is one transaction. */
export class CounterStore {
  readonly #ask: Ask;
  readonly #options: StoreOptions;
  readonly #statistics = new Statistics(async () => {
    await this.#analyzeIfSmall(SUPPOSED_COUNTERS, ANALYZE_COUNTERS);
    await this.#analyzeIfSmall(SUPPOSED_KEYS, ANALYZE_KEYS);
  });

  constructor(sessions: Pick<Sessions, 'query'>, options: StoreOptions) {
    this.#ask = askIn(sessions, options.schema);
    this.#options = options;
  }

  /** Registers a writer. Its batches are numbered from 1. */
  async register(writer: string): Promise<void> {
    await this.#ask(REGISTER, [writer]);
  }

  /**
   * Writes a batch as a whole or not at all, a selective one as far as it fits. It is written once: if its number has been
   * used already, nothing is written (`isFenced`).
   *
   * @throws {ConnectionError} `unknown` when the answer was lost
   * @throws the driver's error when the server refused it: see `isFenced`, `isForgotten`, `isOutOfBounds`, `failureOf`
   */
  async write(batch: Batch, id: BatchId, lockMs = Number.POSITIVE_INFINITY): Promise<Written> {
    const keys = batch.requests.reduce((count, { key }) => count + Number(key !== undefined), 0);
    const written = await this.#send(batch, id, { lockMs, keyed: keys > 0 });
    this.wrote(batch.deltas.length + keys);
    return written;
  }

  /** To be called after so many rows may have been created. */
  wrote(rows: number): void {
    this.#statistics.wrote(rows);
  }

  #send(
    batch: Batch,
    { writer, seq }: BatchId,
    { lockMs, keyed }: { lockMs: number; keyed: boolean },
  ): Promise<Written> {
    const { requests, deltas, steps } = batch;
    const head = [writer, seq, `${Math.min(lockMs, this.#options.lockMsMax)}ms`];
    if (isSelective(batch)) {
      const parameters = parametersOf(batch.selection);
      return this.#write(WRITE_SELECTIVE, [...head, ...parameters, this.#options.keyHours]);
    }
    const [only] = deltas;
    if (!keyed && only && deltas.length === 1) {
      const { name, total, low, high, least, most, expiresAt } = only;
      return this.#write(WRITE_ONE, [...head, name, total, low, high, least, most, timestampOf(expiresAt)]);
    }
    const parameters = [
      ...head,
      deltas.map(({ name }) => name),
      numbers(deltas.map(({ total }) => total)),
      numbers(deltas.map(({ low }) => low)),
      numbers(deltas.map(({ high }) => high)),
      leastsOf(deltas),
      mostsOf(deltas),
      expiriesOf(deltas),
    ];
    if (!keyed) return this.#write(WRITE, parameters);
    const rows = requests.flatMap(({ key, fingerprint, increments }, r) =>
      key === undefined
        ? []
        : increments.map(({ name }, i) => {
            const { at = 0, sum = 0n } = steps[r]?.[i] ?? {};
            return { key, fingerprint, name, offset: sum - (deltas[at]?.total ?? 0n) };
          }),
    );
    return this.#write(WRITE_KEYED, [
      ...parameters,
      rows.map(({ key }) => key),
      rows.map(({ fingerprint }) => fingerprint),
      rows.map(({ name }) => name),
      numbers(rows.map(({ offset }) => offset)),
      this.#options.keyHours,
    ]);
  }

  /**
   * Closes the number of a batch whose answer was lost: once this returns, no attempt can use the number any more.
   *
   * @returns the `values` of the batch, as `write` returns them; undefined: it was not applied
   * @throws {ForgottenWriterError} when the writer's row is gone, so that the outcome cannot be known
   */
  async close({ writer, seq }: BatchId): Promise<bigint[] | undefined> {
    const [row] = await this.#ask<{ values: string }>(CLOSE, [writer, seq]);
    if (!row) throw new ForgottenWriterError(`the row of the writer ${writer} was removed`);
    return row.values === '' ? undefined : row.values.split(',').map(BigInt);
  }

  /** @returns the states of the counters that exist, by name */
  async states(names: readonly string[]): Promise<Map<string, CounterState>> {
    const rows = await this.#ask<{ name: string } & CounterRow>(STATES, [names]);
    return new Map(rows.map(({ name, ...row }) => [name, stateOf(row)]));
  }

  /** @returns those of the idempotency keys that have been used */
  async knownKeys(keys: readonly string[]): Promise<Set<string>> {
    const rows = await this.#ask<{ key: string }>(KNOWN_KEYS, [keys]);
    return new Set(rows.map(({ key }) => key));
  }

  /** @returns those of the counters that exist and that no other transaction has locked at the moment */
  async unlocked(names: readonly string[]): Promise<Set<string>> {
    const rows = await this.#ask<{ name: string }>(UNLOCKED, [names]);
    return new Set(rows.map(({ name }) => name));
  }

  /**
   * Removes a portion of the expired keys. Locked keys are skipped, so that no request waits for the removal.
   *
   * @param since where the previous portion ended; by default, all expired keys are considered
   */
  removeKeys(rowsMax: number, since?: string): Promise<Removed> {
    return this.#remove(REMOVE_KEYS, rowsMax, since);
  }

  /** Removes a portion of the expired counters in the same way. */
  removeCounters(rowsMax: number, since?: string): Promise<Removed> {
    return this.#remove(REMOVE_COUNTERS, rowsMax, since);
  }

  /** A table that the planner knows to be large has no plan for a small one. */
  async #analyzeIfSmall(supposed: Statement, analyze: Statement): Promise<void> {
    const [row] = await this.#ask<{ rows: string }>(supposed, []);
    if (row && Number(row.rows) < SMALL_ROWS) await this.#ask(analyze, []);
  }

  async #remove(statement: Statement, rowsMax: number, since = '-infinity'): Promise<Removed> {
    const [row] = await this.#ask<{ count: string; last: string | null }>(statement, [since, rowsMax]);
    return { count: Number(row?.count ?? 0), last: row?.last ?? since };
  }

  async removeWriters(): Promise<void> {
    await this.#ask(REMOVE_WRITERS, []);
  }

  async #write(statement: Statement, parameters: unknown[]): Promise<Written> {
    const [row] = await this.#ask<{ values: string; known?: string | null }>(statement, parameters);
    const { values = '', known } = row ?? {};
    return {
      values: values === '' ? [] : values.split(',').map(BigInt),
      // Parsed here, since an application may have configured the driver not to parse JSON.
      known: known ? (JSON.parse(known) as KnownRequest[]) : [],
    };
  }
}

/** The row of a writer was removed like that of a writer that ended long ago. */
class ForgottenWriterError extends Error {
  override name = 'ForgottenWriterError';
}

const NOT_NULL_VIOLATION = '23502';
const DIVISION_BY_ZERO = '22012';
const CHECK_VIOLATION = '23514';
const NUMBER_OUT_OF_RANGE = '22003';

const columnOf = (error: unknown): unknown => (error as { column?: unknown } | null)?.column;

/** Whether the server refused a batch because its number had been used. Nothing of this attempt was applied. */
export const isFenced = (error: unknown): boolean =>
  codeOf(error) === NOT_NULL_VIOLATION && columnOf(error) === 'seq';

/** Whether the server refused a batch because it does not know the writer. Nothing of this attempt was applied. */
export const isForgotten = (error: unknown): boolean =>
  codeOf(error) === DIVISION_BY_ZERO || error instanceof ForgottenWriterError;

/** Whether the server refused a batch because a value would leave the range or its bounds. Nothing was applied. */
export const isOutOfBounds = (error: unknown): boolean => {
  const code = codeOf(error);
  return (
    code === CHECK_VIOLATION ||
    code === NUMBER_OUT_OF_RANGE ||
    (code === NOT_NULL_VIOLATION && columnOf(error) === 'values')
  );
};
