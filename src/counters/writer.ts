import { GroupCommit } from '../concurrency/group-commit.ts';
import { isConflict } from '../database/failure.ts';
import { Problem } from '../errors/problem.ts';
import { type Batch, type PendingIncrement, type PendingRequest, weightOf } from './batch.ts';
import { type BatchEvents, BatchWriter, type OnLocked, type Outcome } from './batch-writer.ts';
import { Lane, type Settlement } from './lane.ts';
import { Quarantine } from './quarantine.ts';
import {
  type Answer,
  assertRequest,
  fingerprintOf,
  type Increment,
  type IncrementRequest,
  keyReused,
} from './request.ts';
import type { CounterStore } from './store.ts';
import { bucketsOf } from './windows.ts';

export interface WriterEvents extends BatchEvents {
  /** A lost answer was asked for. */
  settled(settlement: Settlement): void;
}

export interface WriterLimits {
  /** Requests that wait for their batch at most; a bulk counts as one for each five of its increments. */
  queueMax?: number;
  /** How long a lost answer is asked for while no server answers, in milliseconds. */
  settleMsMax?: number;
  /** How long a request waits for a counter that another transaction has locked, in milliseconds. */
  lockedMsMax?: number;
  /** Aborted when nothing may be waited for any more. */
  closing?: AbortSignal;
}

/**
 * How long a batch waits for each lock, in milliseconds: longer than the commits of other replicas usually take. While
 * counters are known to be locked, it is less, since other replicas need the locks that the batch already has.
 */
const LOCK_MS = { usual: 100, besideLocked: 25 };

/** Weight of one batch at most. */
const BATCH_MAX = 1000;

/** How long a request waits for its batch to begin, in milliseconds. */
const WAIT_MS_MAX = 5000;

/** Batches with suspects that are written beside the others. */
const SIDE_LANES = 2;

/** Connections that counters use at the same time: the lanes, and those that read, watch and remove. */
export const COUNTER_CONNECTIONS = 1 + SIDE_LANES + 3;

/** A request with a key whose answer is not known yet. */
interface InFlight {
  fingerprint: string;
  answer: Promise<Answer>;
}

/**
 * Writes the increments that wait together, and answers each request after the commit. Whatever fails, each request
 * is counted once, or not at all and told so; where that cannot be known, it is told that.
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
      return new BatchWriter({ store, lane, events, onLocked });
    };
    const main = batchWriter((batch, _error, again) => this.#isolate(batch, again));
    const sides = Array.from({ length: SIDE_LANES }, () =>
      batchWriter(({ requests }, error) => requests.map(() => error)),
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
        // Those whose counter became a suspect while they waited here.
        const aside = requests.map((request) => this.#setAside(request));
        const open = requests.filter((_, i) => aside[i] === undefined);
        const lockMs = this.#quarantine.waiting > 0 ? LOCK_MS.besideLocked : LOCK_MS.usual;
        const written = await main.write(open, lockMs);
        return aside.map((outcome) => outcome ?? (written.shift() as Outcome));
      },
      weigh: weightOf,
      batchMax: BATCH_MAX,
      queueMax,
      waitMsMax: WAIT_MS_MAX,
    });
  }

  /** Weight of the requests that wait for their batch. */
  get waiting(): number {
    return this.#group.waiting;
  }

  /** Whether anything waits for its batch or is being written with it. */
  get busy(): boolean {
    return this.#group.busy;
  }

  /** Weight that may come and wait besides. */
  get room(): number {
    return this.#group.room;
  }

  /** Requests that wait for counters that another transaction has locked. */
  get quarantined(): number {
    return this.#quarantine.waiting;
  }

  /**
   * @throws {Problem} `out_of_range`, `out_of_bounds`, `key_reused`, `busy`, `client_gone`, `retries_exhausted`: not counted;
   *   `outcome_unknown`: perhaps
   * @throws {QueueFullError} not counted
   * @throws {RetriesExhaustedError} not counted
   * @throws the database's error: not counted
   */
  async submit(request: IncrementRequest): Promise<Answer> {
    const { key } = request;
    assertRequest(request);
    const increments = request.increments.map(inBucket);
    if (key === undefined) return this.#enqueue({ ...request, increments });
    // Of the request as it was sent: sent again, it may fall into the next window.
    const fingerprint = fingerprintOf(request);
    const first = this.#inFlight.get(key);
    if (first) return this.#join(first, fingerprint, request);
    const pending = { ...request, increments, fingerprint };
    const answer = this.#enqueue(pending).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, { fingerprint, answer });
    return answer;
  }

  /** Resolves when everything that was submitted is settled. */
  async drain(): Promise<void> {
    await this.#group.drain();
    await this.#quarantine.drain();
  }

  #enqueue(request: PendingRequest): Promise<Answer> {
    return this.#setAside(request) ?? this.#group.submit(request);
  }

  /** The same request is under way already, under the same key: its answer is the answer to both. */
  async #join(first: InFlight, fingerprint: string, request: IncrementRequest): Promise<Answer> {
    if (first.fingerprint !== fingerprint) throw keyReused();
    try {
      const { values } = await first.answer;
      this.#events.replayed();
      return { values, replayed: true };
    } catch (error) {
      // The caller of the first one gave up; this one did not.
      if (error instanceof Problem && error.code === 'client_gone') return this.submit(request);
      throw error;
    }
  }

  /**
   * The wait of a batch for a lock ran out. Its counters that are free go on in the next one; the others, and those that do
   * not exist, which another transaction may be about to create, are suspects. If all are free, twice in a row, it is a
   * key.
   */
  async #isolate({ requests, deltas }: Batch, again: boolean): Promise<(Outcome | undefined)[]> {
    const names = deltas.map(({ name }) => name);
    const unlocked = await this.#store.unlocked(names).catch((error: unknown) => {
      if (isConflict(error)) return new Set(names);
      throw error;
    });
    const suspects = names.filter((name) => !unlocked.has(name));
    const keys = suspects.length > 0 || !again ? [] : requests.flatMap(({ key }) => key ?? []);
    this.#quarantine.suspect(suspects, keys);
    return requests.map((request) => this.#setAside(request));
  }

  /** A request that needs a suspect waits for it in quarantine; undefined: it does not. */
  #setAside(request: PendingRequest): Promise<Answer> | undefined {
    if (!this.#quarantine.concerns(request)) return undefined;
    const answer = this.#quarantine.submit(request);
    // It may be refused before the batch that it came with is written.
    answer.catch(() => {});
    return answer;
  }
}

/** @throws {Problem} `invalid_request` when its window is none */
function inBucket({ window, ...increment }: Increment): PendingIncrement {
  if (window === undefined) return increment;
  const [bucket] = bucketsOf(increment.name, window, Date.now());
  return { ...increment, name: bucket?.name ?? '', expiresAt: bucket?.expiresAt };
}
