import { GroupCommit } from '../concurrency/group-commit.ts';
import { isConflict } from '../database/failure.ts';
import { Problem } from '../errors/problem.ts';
import { type BatchEvents, BatchWriter, type OnLocked, type Outcome } from './batch-writer.ts';
import { Lane, type Settlement } from './lane.ts';
import { Quarantine } from './quarantine.ts';
import {
  type Answer,
  type CounterRequest,
  keyReused,
  type PendingRequest,
  pendingOf,
  weightOf,
} from './request.ts';
import { idOf } from './row.ts';
import type { CounterStore } from './store.ts';
import { LOCK_MS, QUEUE_MS_MAX } from './waits.ts';

export interface WriterEvents extends BatchEvents {
  /** The attempt to settle a lost answer has ended. */
  settled(settlement: Settlement): void;
}

export interface WriterLimits {
  /** The most requests that may wait for their batch; five increments of a bulk count as one request. */
  queueMax?: number;
  /** How long to try to settle a lost answer while no server answers, in milliseconds. */
  settleMsMax?: number;
  /** How long a request waits for a counter that another transaction has locked, in milliseconds. */
  lockedMsMax?: number;
  /** Aborted when all waiting has to end. */
  closing?: AbortSignal;
}

/** The highest weight of one batch. */
const BATCH_MAX = 1000;

/** The number of lanes for batches with counters that may be locked. */
const SIDE_LANES = 2;

/** The number of connections that writers use at the same time: one for each lane. */
export const WRITER_CONNECTIONS = 1 + SIDE_LANES;

/** A request with a key whose answer is not known yet. */
interface InFlight {
  fingerprint: string | undefined;
  answer: Promise<Answer>;
}

/**
 * Writes the increments that wait together, and answers each request after the commit. Whatever fails, each request is
 * counted once, or refused and not counted; if neither can be established, the answer is `outcome_unknown`.
 */
export class CounterWriter {
  readonly #store: CounterStore;
  readonly #events: WriterEvents;
  readonly #group: GroupCommit<PendingRequest, Answer>;
  readonly #quarantine: Quarantine;
  readonly #inFlight = new Map<string, InFlight>();

  constructor(
    store: CounterStore,
    events: WriterEvents,
    {
      queueMax = 4096,
      settleMsMax = 45_000,
      lockedMsMax = 5000,
      closing = new AbortController().signal,
    }: WriterLimits = {},
  ) {
    this.#store = store;
    this.#events = events;
    const onSettled = (settlement: Settlement) => events.settled(settlement);
    const batchWriter = (onLocked: OnLocked) => {
      const lane = new Lane(store, { settleMsMax, onSettled, closing });
      return new BatchWriter({ store, lane, events, onLocked, lockedMsMax });
    };
    const main = batchWriter((requests, _error, repeated) => this.#isolate(requests, repeated));
    const sides = Array.from({ length: SIDE_LANES }, () =>
      batchWriter((requests, error) => requests.map(() => error)),
    );
    this.#quarantine = new Quarantine({
      writers: sides.map((side) => (requests, lockMs) => side.write(requests, lockMs)),
      batchMax: BATCH_MAX,
      waitMsMax: lockedMsMax,
      queueMax,
    });
    closing.addEventListener('abort', () => this.#quarantine.close(closing.reason as Error), { once: true });
    this.#group = new GroupCommit<PendingRequest, Answer>({
      write: async (requests) => {
        // Requests whose counter became a suspect while they waited here go to quarantine.
        const quarantined = requests.map((request) => this.#quarantineIfSuspect(request));
        const open = requests.filter((_, i) => quarantined[i] === undefined);
        const lockMs = this.#quarantine.waiting > 0 ? LOCK_MS.besideLocked : LOCK_MS.usual;
        const written = await main.write(open, lockMs);
        return quarantined.map((outcome) => outcome ?? (written.shift() as Outcome));
      },
      weigh: weightOf,
      batchMax: BATCH_MAX,
      queueMax,
      waitMsMax: QUEUE_MS_MAX,
    });
  }

  /** The weight of the requests that wait for their batch. */
  get waiting(): number {
    return this.#group.waiting;
  }

  /** Whether any request waits for its batch or is being written with it. */
  get busy(): boolean {
    return this.#group.busy;
  }

  /** The weight that the queue still has room for. */
  get room(): number {
    return this.#group.room;
  }

  /** The number of requests that wait for counters that another transaction has locked. */
  get quarantined(): number {
    return this.#quarantine.waiting;
  }

  /**
   * @throws {Problem} `out_of_range`, `out_of_bounds`, `precondition_failed`, `key_reused`, `busy`, `client_gone`,
   *   `shutting_down`: not applied; `outcome_unknown`: perhaps applied
   * @throws {QueueFullError} not applied
   * @throws {RetriesExhaustedError} not applied
   * @throws the database's error: not applied
   */
  async submit(sent: CounterRequest): Promise<Answer> {
    const request = pendingOf(sent);
    const { key } = request;
    if (key === undefined) return this.#enqueue(request);
    const first = this.#inFlight.get(key);
    if (first) return this.#join(first, request);
    const answer = this.#enqueue(request).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, { fingerprint: request.fingerprint, answer });
    return answer;
  }

  /** Resolves when every submitted request is settled. */
  async drain(): Promise<void> {
    await this.#group.drain();
    await this.#quarantine.drain();
  }

  #enqueue(request: PendingRequest): Promise<Answer> {
    return this.#quarantineIfSuspect(request) ?? this.#group.submit(request);
  }

  /** Answers a request with the answer to the same request, which is in progress under the same key. */
  async #join(first: InFlight, { sent, fingerprint }: PendingRequest): Promise<Answer> {
    if (first.fingerprint !== fingerprint) throw keyReused();
    try {
      const answer = await first.answer;
      this.#events.replayed();
      return { ...answer, replayed: true };
    } catch (error) {
      // The client of the first request disconnected; the client of this one did not.
      if (error instanceof Problem && error.code === 'client_gone') return this.submit(sent);
      throw error;
    }
  }

  /**
   * Handles a batch that timed out waiting for a lock. Requests whose rows are all free are written with the next attempt.
   * Rows that are locked are suspects, and so are those that do not exist, since another transaction may be about to create
   * them. If all rows are free twice in a row, the lock must be that of a key: all keys are suspects.
   */
  async #isolate(requests: readonly PendingRequest[], repeated: boolean): Promise<(Outcome | undefined)[]> {
    const rows = [
      ...new Map(requests.flatMap((request) => request.rows.map((row) => [idOf(row), row]))).values(),
    ];
    const unlocked = await this.#store.unlocked(rows).catch((error: unknown) => {
      if (isConflict(error)) return new Set(rows.map(idOf));
      throw error;
    });
    const suspects = rows.map(idOf).filter((id) => !unlocked.has(id));
    const keys = suspects.length > 0 || !repeated ? [] : requests.flatMap(({ key }) => key ?? []);
    this.#quarantine.suspect(suspects, keys);
    return requests.map((request) => this.#quarantineIfSuspect(request));
  }

  /** Quarantines a request that needs a suspect. @returns its answer; undefined: it needs none */
  #quarantineIfSuspect(request: PendingRequest): Promise<Answer> | undefined {
    if (!this.#quarantine.concerns(request)) return undefined;
    const answer = this.#quarantine.submit(request);
    // It may be rejected before its batch returns: without a handler, that would be an unhandled rejection.
    answer.catch(() => {});
    return answer;
  }
}
