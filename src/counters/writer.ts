import { GroupCommit } from '../concurrency/group-commit.ts';
import { Problem } from '../errors/problem.ts';
import { type BatchEvents, BatchWriter, type BatchWriterOptions, type Outcome } from './batch-writer.ts';
import { HeldError } from './batch-refusal.ts';
import { Lane, type Settlement } from './lane.ts';
import {
  type Answer,
  type CounterRequest,
  keyReused,
  type PendingRequest,
  pendingOf,
  weightOf,
} from './request.ts';
import { Separation } from './separation.ts';
import type { CounterStore } from './store.ts';
import { LOOKS, WaitingRoom } from './waiting-room.ts';
import { QUEUE_MS_MAX } from './waits.ts';

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

/** The number of connections that writers use at the same time: for batches, for those being separated, and for looks. */
export const WRITER_CONNECTIONS = 2 + LOOKS;

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
  readonly #events: WriterEvents;
  readonly #group: GroupCommit<PendingRequest, Answer>;
  readonly #room: WaitingRoom;
  readonly #lockedMsMax: number;
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
    this.#events = events;
    this.#lockedMsMax = lockedMsMax;
    const onSettled = (settlement: Settlement) => events.settled(settlement);
    this.#room = new WaitingRoom({
      store,
      waitMsMax: lockedMsMax,
      queueMax,
      batchMs: () => main.batchMs,
    });
    closing.addEventListener('abort', () => this.#room.close(closing.reason as Error), { once: true });
    const batchWriter = (more: Pick<BatchWriterOptions, 'separate'> = {}) => {
      const lane = new Lane(store, { settleMsMax, onSettled, closing });
      const isolate: BatchWriterOptions['isolate'] = (requests) => this.#room.isolate(requests);
      const isBesideHeld = () => this.#room.waiting > 0;
      return new BatchWriter({ store, lane, events, isolate, isBesideHeld, lockedMsMax, ...more });
    };
    const aside = batchWriter();
    const separation = new Separation((requests) => aside.write(requests));
    const main = batchWriter({ separate: (requests) => separation.separate(requests) });
    this.#group = new GroupCommit<PendingRequest, Answer>({
      write: (requests) => this.#write(main, requests),
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

  /** The number of requests that wait for locks that another transaction may hold. */
  get held(): number {
    return this.#room.waiting;
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

  /** Resolves when no request waits for its batch or is being written with it. */
  async drain(): Promise<void> {
    await this.#group.drain();
  }

  /** Writes a request with the next batch that does not find one of its locks held. */
  async #enqueue(request: PendingRequest): Promise<Answer> {
    let heldAt: number | undefined;
    for (;;) {
      if (heldAt !== undefined || this.#room.concerns(request)) {
        const now = performance.now();
        heldAt ??= now;
        // A lock that is merely busy may send it back to the room: it may wait for as long again in all.
        await this.#room.wait(request, Math.min(now, heldAt + this.#lockedMsMax));
      }
      try {
        return await this.#group.submit(request);
      } catch (error) {
        if (!(error instanceof HeldError)) throw error;
        heldAt ??= performance.now();
      }
    }
  }

  async #write(main: BatchWriter, requests: readonly PendingRequest[]): Promise<Outcome[]> {
    // Those whose locks were found to be held while they waited for this batch.
    const isHeld = requests.map((request) => this.#room.concerns(request));
    const open = requests.filter((_, i) => !isHeld[i]);
    const written = await main.write(open);
    return isHeld.map((held) => (held ? new HeldError() : (written.shift() as Outcome)));
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
}
