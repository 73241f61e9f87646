import { ConnectionError, isLocked } from '../database/failure.ts';
import type { PreparedStatement } from '../database/guarded-connection.ts';
import type { Sessions } from '../database/sessions.ts';
import { type Batch, overshoots } from './batch.ts';
import { ForgottenWriterError } from './batch-refusal.ts';
import { type CounterState, NAME_MAX, timestamp } from './counter.ts';
import type { Decisions, KnownRequest, RowState, World } from './decide.ts';
import type { PendingRequest } from './request.ts';
import { idOf, inOrder, type Row } from './row.ts';
import {
  BEGIN,
  BEGIN_PROBING,
  COMMIT,
  NONE,
  ROLL_BACK,
  SAVE,
  type Statement,
  type Statements,
  statementsIn,
} from './sql.ts';

export interface Written {
  /** The value of each delta's row after the batch. */
  values: number[];
  /** The requests that were applied before under the keys of the batch. If there are any, nothing was counted. */
  known: ReadonlyMap<string, KnownRequest>;
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
  /** The schema of the tables. */
  schema: string;
}

/** The state of a counter as it is selected. */
interface StateRow {
  name: string;
  value: string;
  min: string | null;
  max: string | null;
  /** In milliseconds since 1970. */
  expires: string | null;
}

/** No name has more characters, and none a later one. */
const LAST = '\u{10ffff}'.repeat(NAME_MAX);

/** A row under its lock, as JSON: its number from 1, its state, whether it has not expired, and its place. */
type LockedRow = [number, number, number | null, number | null, number | null, boolean, string];

/** A row that a lock created, as JSON: its period, its name, and its start. */
type CreatedRow = [string, string, number | null];

/** A key as JSON: its digest, the fingerprint of its request, and the answer. */
type KnownKey = [string, string, KnownRequest['answer']];

/** Whether a row or a key is committed, inserted by a transaction that has not ended, or neither. */
export type Probed = 'exists' | 'held' | 'free';

/** The counters in the database. Each method is one transaction, and all but `decide` and `probe` are one statement. */
export class CounterStore {
  readonly #sessions: Pick<Sessions, 'query' | 'transaction'>;
  readonly #options: StoreOptions;
  readonly #sql: Statements;

  constructor(sessions: Pick<Sessions, 'query' | 'transaction'>, options: StoreOptions) {
    this.#sessions = sessions;
    this.#options = options;
    this.#sql = statementsIn(options.schema);
  }

  /** Registers a writer. Its batches are numbered from 1. */
  async register(writer: string): Promise<void> {
    await this.#ask(this.#sql.register, [writer]);
  }

  /**
   * Adds a batch as a whole or not at all. It is written once: if its number has been used already, nothing is written.
   *
   * @throws {ConnectionError} `unknown` when the answer was lost
   * @throws the driver's error when the server refused it: see `refusalOf` and `failureOf`
   */
  async write(batch: Batch, { writer, seq }: BatchId, lockMs?: number): Promise<Written> {
    const head = [writer, seq, `${this.#lockMs(lockMs)}ms`];
    const [only] = batch.deltas;
    const keyed = batch.requests.some(({ key }) => key !== undefined);
    if (only && batch.deltas.length === 1 && !keyed) {
      const { row, total, low, high } = only;
      const { period, name } = row;
      const values = [...head, period, name, startOf(row), total, row.keptMs, low, high];
      return writtenOf(await this.#ask(this.#sql.writeOne, values));
    }
    const parameters = [...head, ...deltasOf(batch)];
    if (!keyed) return writtenOf(await this.#ask(this.#sql.write, parameters));
    const values = [...parameters, ...keysOf(batch), this.#options.keyHours];
    return writtenOf(await this.#ask(this.#sql.writeKeyed, values));
  }

  /**
   * Locks the rows of requests, lets `decideOn` decide on them, and writes what it decided, in one transaction of two round
   * trips. If it refuses all of them, the transaction is rolled back and its number not used: nothing has to be durable then.
   *
   * @throws as `write`; `decideOn` has been called if the outcome is unknown
   */
  async decide(
    requests: readonly PendingRequest[],
    id: BatchId,
    decideOn: (world: World) => Decisions,
    lockMs?: number,
  ): Promise<Decisions> {
    const byId = new Map(requests.flatMap(({ rows }) => rows.map((row) => [idOf(row), row])));
    const rows = [...byId.values()].toSorted(inOrder);
    const place = placesOf(rows);
    const { lock, read, apply } = this.#sql;
    return this.#sessions.transaction(async (send) => {
      const [, locked, current] = await send([
        { ...BEGIN, values: [] },
        {
          ...lock,
          values: [...place, numbers(rows.map(({ keptMs }) => keptMs)), `${this.#lockMs(lockMs)}ms`],
        },
        { ...read, values: [...place, digests(requests.flatMap(({ key }) => key ?? []))] },
      ]);
      const created = parsed<CreatedRow>((rowOf(locked) as { created: string | null }).created).map(
        ([period, name, start]) => idOf({ period, name, start: start ?? 0, end: 0, keptMs: 0 }),
      );
      const found = rowOf(current) as { now: string; rows: string | null; known: string | null };
      const locks = new Locks(rows, parsed<LockedRow>(found.rows), new Set(created));
      const decisions = decideOn({
        ...locks.worldAt(Number(found.now)),
        known: knownOf(found.known),
      });
      if (decisions.outcomes.every((outcome) => outcome instanceof Error)) return decisions;
      const values = [id.writer, id.seq, ...locks.parametersOf(decisions), this.#options.keyHours];
      await send([
        { ...apply, values },
        { ...COMMIT, values: [] },
      ]);
      return decisions;
    });
  }

  /**
   * Closes the number of a batch whose answer was lost: once this returns, no attempt can use the number any more.
   *
   * @returns what the batch wrote, for `write` its `values`; undefined: it was not applied
   * @throws {ForgottenWriterError} when the writer's row is gone, so that the outcome cannot be known
   */
  async close({ writer, seq }: BatchId): Promise<number[] | undefined> {
    const [row] = await this.#ask<{ values: string }>(this.#sql.close, [writer, seq, `${this.#lockMs()}ms`]);
    if (!row) throw new ForgottenWriterError(`the row of the writer ${writer} was removed`);
    return row.values === '' ? undefined : valuesIn(row.values);
  }

  /** @returns the states of the counters that exist, by name, all as of one moment */
  async states(names: readonly string[]): Promise<Map<string, CounterState>> {
    const rows = await this.#ask<StateRow>(this.#sql.states, [names]);
    return new Map(rows.map((row) => [row.name, stateOf(row)]));
  }

  /**
   * @returns up to `limit` counters whose names begin with the prefix, after the name `after`, in the order of the code points
   *   of their names
   */
  async list(after: string, prefix: string, limit: number): Promise<(CounterState & { name: string })[]> {
    const rows = await this.#ask<StateRow>(this.#sql.list, [after, prefix, `${prefix}${LAST}`, limit]);
    return rows.map((row) => ({ name: row.name, ...stateOf(row) }));
  }

  /** @returns the counts of the windows of a counter, by their starts; `rows` are windows of one length */
  async windows(rows: readonly Row[]): Promise<Map<number, number>> {
    const [first, last] = [rows.at(0), rows.at(-1)];
    if (!first || !last) return new Map();
    const bounds = [first, last].toSorted(inOrder).map(startOf);
    const values = [first.period, first.name, ...bounds];
    const counts = await this.#ask<{ start: string; value: string }>(this.#sql.windows, values);
    return new Map(counts.map(({ start, value }) => [Number(start), Number(value)]));
  }

  /**
   * @returns for each of the rows that exist, by its identity, the transaction that has locked it at the moment; null: none
   */
  async look(rows: readonly Row[]): Promise<Map<string, string | null>> {
    const found = await this.#ask<{ i: string; holder: string | null }>(this.#sql.look, placesOf(rows));
    return new Map(found.map(({ i, holder }) => [idOf(rows[Number(i) - 1] as Row), holder]));
  }

  /**
   * Finds out whether another transaction has inserted one of these rows, or keys (their digests), and has not ended. It
   * inserts each of them, waits for a millisecond, the shortest wait there is, and rolls back.
   */
  probe(places: readonly (Row | string)[]): Promise<Probed[]> {
    return this.#sessions.transaction(async (send) => {
      await send([{ ...BEGIN_PROBING, values: [] }]);
      const probed: Probed[] = [];
      for (const place of places) probed.push(await send(this.#probing(place)).then(existsIn, isHeld));
      return probed;
    });
  }

  #probing(place: Row | string): PreparedStatement[] {
    const insert =
      typeof place === 'string'
        ? { ...this.#sql.probeKey, values: [bytes(place)] }
        : { ...this.#sql.probeRow, values: [place.period, place.name, startOf(place)] };
    return [{ ...SAVE, values: [] }, insert, { ...ROLL_BACK, values: [] }];
  }

  /**
   * Removes a portion of the expired keys. Locked keys are skipped, so that no request waits for the removal.
   *
   * @param since where the previous portion ended; by default, all expired keys are considered
   */
  removeKeys(rowsMax: number, since?: string): Promise<Removed> {
    return this.#remove(this.#sql.removeKeys, rowsMax, since);
  }

  /** Removes a portion of the expired counters and windows in the same way. */
  removeCounters(rowsMax: number, since?: string): Promise<Removed> {
    return this.#remove(this.#sql.removeCounters, rowsMax, since);
  }

  async removeWriters(): Promise<void> {
    await this.#ask(this.#sql.removeWriters, []);
  }

  /** @returns the version of the tables. @throws the driver's error when they are missing, or others */
  async version(): Promise<number> {
    const [row] = await this.#ask<{ version: string | null }>(this.#sql.version, []);
    return Number(row?.version);
  }

  async #remove(statement: Statement, rowsMax: number, since = '-infinity'): Promise<Removed> {
    const [row] = await this.#ask<{ count: string; last: string | null }>(statement, [since, rowsMax]);
    if (!row) throw new TypeError('no answer');
    return { count: Number(row.count), last: row.last ?? since };
  }

  #lockMs(ms = Number.POSITIVE_INFINITY): number {
    return Math.min(ms, this.#options.lockMsMax);
  }

  async #ask<Found extends object>(statement: Statement, values: readonly unknown[]): Promise<Found[]> {
    return (await this.#sessions.query<Found>({ ...statement, values })).rows;
  }
}

/** The rows of a transaction, which it has locked. */
class Locks {
  readonly #created: ReadonlySet<string>;
  readonly #locked: Map<string, LockedRow>;

  constructor(rows: readonly Row[], locked: readonly LockedRow[], created: ReadonlySet<string>) {
    this.#created = created;
    this.#locked = new Map(locked.map((one) => [idOf(rows[one[0] - 1] as Row), one]));
    if (this.#locked.size !== rows.length)
      throw new Error(`${this.#locked.size} of ${rows.length} rows were locked: does a trigger skip rows?`);
  }

  /** @param now in milliseconds since 1970, by the clock of the database */
  worldAt(now: number): Omit<World, 'known'> {
    const states = new Map<string, RowState>();
    for (const [id, [, value, min, max, expiresAt, isAlive]] of this.#locked)
      if (isAlive && !this.#created.has(id)) states.set(id, { value, min, max, expiresAt });
    const expiryOf = (row: Row) => {
      if (row.keptMs === 0) return null;
      const id = idOf(row);
      return this.#created.has(id) ? this.#rowOf(id)[4] : now + row.keptMs;
    };
    return { now, states, expiryOf };
  }

  #rowOf(id: string): LockedRow {
    const row = this.#locked.get(id);
    if (!row) throw new RangeError(`the row ${JSON.stringify(id)} is not locked`);
    return row;
  }

  /** The parameters $3 to $13 of `apply`. */
  parametersOf({ changed, kept }: Decisions): unknown[] {
    const written = [...changed.values()].flatMap(({ row, state }) => (state ? [{ row, state }] : []));
    const removed = [
      ...[...changed].flatMap(([id, { state }]) => (state ? [] : [id])),
      ...[...this.#created].filter((id) => !changed.has(id)),
    ];
    const states = written.map(({ state }) => state);
    return [
      ...placesOf(written.map(({ row }) => row)),
      numbers(states.map(({ value }) => value)),
      numbers(states.map(({ min }) => min ?? NONE)),
      numbers(states.map(({ max }) => max ?? NONE)),
      numbers(states.map(({ expiresAt }) => (expiresAt === null ? 'infinity' : timestamp(expiresAt)))),
      removed.map((id) => this.#rowOf(id)[6]),
      digests(kept.map(({ key }) => key)),
      digests(kept.map(({ request }) => request)),
      kept.map(({ answer }) => JSON.stringify(answer)),
    ];
  }
}

/** The parameters $4 to $12 of the statements that add to several rows. */
function deltasOf({ deltas }: Batch): unknown[] {
  const over = deltas.filter(overshoots);
  return [
    ...placesOf(deltas.map(({ row }) => row)),
    numbers(deltas.map(({ total }) => total)),
    numbers(deltas.map(({ row }) => row.keptMs)),
    ...(over.length === 0
      ? [null, null, null, null]
      : [
          numbers(over.map(({ at }) => at + 1)),
          numbers(over.map(({ total }) => total)),
          numbers(over.map(({ low }) => low)),
          numbers(over.map(({ high }) => high)),
        ]),
  ];
}

/** The parameters $13 to $16. */
function keysOf({ requests, steps }: Batch): unknown[] {
  const keyed = requests.flatMap(({ key, fingerprint }, i) => {
    const step = steps[i]?.[0];
    return key === undefined || fingerprint === undefined || !step ? [] : [{ key, fingerprint, step }];
  });
  return [
    digests(keyed.map(({ key }) => key)),
    digests(keyed.map(({ fingerprint }) => fingerprint)),
    numbers(keyed.map(({ step }) => step.delta.at + 1)),
    numbers(keyed.map(({ step: { delta, sum } }) => sum - delta.total)),
  ];
}

/** The parameters that identify rows: periods, names and starts. */
const placesOf = (rows: readonly Row[]): unknown[] => [
  rows.map(({ period }) => period),
  rows.map(({ name }) => name),
  numbers(rows.map(startOf)),
];

const startOf = ({ period, start }: Row): string => (period === '' ? '-infinity' : timestamp(start));

/** An array literal of PostgreSQL. The driver would search each element for characters to escape. */
const numbers = (values: readonly (bigint | number | string)[]): string => `{${values.join(',')}}`;

/** @param values hexadecimal digits */
const digests = (values: readonly string[]): string =>
  values.length === 0 ? '{}' : `{"\\\\x${values.join('","\\\\x')}"}`;

/** @param digest hexadecimal digits */
const bytes = (digest: string): string => `\\x${digest}`;

const existsIn = ([, inserted]: { rowCount: number | null }[]): Probed =>
  inserted?.rowCount === 0 ? 'exists' : 'free';

function isHeld(error: unknown): Probed {
  if (isLocked(error)) return 'held';
  if (error instanceof ConnectionError) throw error;
  // Whatever else the server has against the row, no lock is in its way.
  return 'free';
}

const valuesIn = (text: string): number[] => (text === '' ? [] : text.split(',').map(Number));

function writtenOf([row]: { values: string; known?: string | null }[]): Written {
  if (!row) throw new TypeError('no answer');
  return { values: valuesIn(row.values), known: knownOf(row.known ?? null) };
}

const knownOf = (text: string | null): Map<string, KnownRequest> =>
  new Map(parsed<KnownKey>(text).map(([key, request, answer]) => [key, { request, answer }]));

/** Parsed here, since an application may have configured the driver not to parse JSON. Null: nothing was aggregated. */
const parsed = <Item>(text: string | null): Item[] => (text === null ? [] : (JSON.parse(text) as Item[]));

function rowOf(result: { rows: unknown[] } | undefined): unknown {
  const [row] = result?.rows ?? [];
  if (!row) throw new TypeError('no answer');
  return row;
}

const stateOf = ({ value, min, max, expires }: StateRow): CounterState => ({
  value: Number(value),
  min: min === null ? null : Number(min),
  max: max === null ? null : Number(max),
  expiresAt: expires === null ? null : timestamp(Number(expires)),
});
