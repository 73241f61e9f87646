import { AsyncLocalStorage } from 'node:async_hooks';
import { Problem } from '../errors/problem.ts';
import { clientGone, type PendingRequest, weightOf } from './request.ts';
import { idOf, quotedRow, type Row } from './row.ts';
import type { CounterStore, Probed } from './store.ts';

/*
 * Requests whose locks another transaction may hold wait here, so that no other request waits: a batch waits for the slowest
 * of its locks. Nothing is written here. The room finds out which locks are free, and the request is written with the next
 * batch.
 *
 *             request: waiting ──── all its locks are free, or its key was used ────► admitted (to the next batch)
 *                         └──────── too long, or the longest in a full room ────────► refused (`busy`)
 *
 *                lock:  new ──► being looked at ──► free: forgotten
 *                                  ▲        │
 *                                  └─ held ◄┘
 *
 * A row that exists is looked at without waiting. If the transaction that has locked it is another one than at the last
 * look, the row is merely busy, and counts as free: PostgreSQL lets those that wait for a lock in turn. A row or a key that
 * another transaction has inserted cannot be seen: inserting it, for the time of a millisecond, shows whether it is.
 */

export interface WaitingRoomOptions {
  store: Pick<CounterStore, 'look' | 'probe'>;
  /** How long a request may wait for locks that were found to be held, in milliseconds. */
  waitMsMax: number;
  /** The highest weight of the requests that wait. */
  queueMax: number;
  /** How long a batch takes at the moment, in milliseconds: a lock that is held longer is not merely busy. */
  batchMs: () => number;
}

/** The lock on a row, or on a key that is about to be used. */
interface Lock {
  id: string;
  place: Row | string;
  state: 'new' | 'being looked at' | 'held';
  /** The transaction that held it at the last look. */
  holder?: string | null;
  /** Whether the row does not exist, so that only an insertion can show whether it is locked. A key never exists here. */
  isAbsent: boolean;
  waiting: Set<Waiting>;
  /** How many looks have found that it is held, and when it is looked at again, by `performance.now()`. */
  looks: number;
  dueAt: number;
}

interface Waiting {
  request: PendingRequest;
  since: number;
  locks: Set<Lock>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** How many looks run at the same time: one prefers new locks, the other one held ones, so that neither kind starves. */
export const LOOKS = 2;

/** The most rows of one look, and the most insertions of one probe: a held one takes a millisecond. */
const LOOK_MAX = 1000;
const PROBE_MAX = 32;

/** The time between two looks at a held lock, in milliseconds: at least, after which it doubles, and at most. */
const LOOK_MS = { min: 25, max: 500 };

/** The room serves many callers, so it runs in the asynchronous context of none of them. */
const inNoContext = AsyncLocalStorage.snapshot();

/** Identifies the lock on a key. It cannot be confused with a row, since names have no control characters. */
const idOfKey = (key: string) => `\0${key}`;

export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  readonly #locks = new Map<string, Lock>();
  /** Locks that are not being looked at, in the order of their turns. */
  #new: Lock[] = [];
  #held: Lock[] = [];
  /** In the order of their arrival. */
  readonly #waiting = new Set<Waiting>();
  #weight = 0;
  readonly #looking = Array.from({ length: LOOKS }, () => false);
  #ticking = false;
  #closed: Error | undefined;
  /** While a batch has other requests than these, the cause of its timeout is looked for among those. */
  readonly #admitted = new WeakSet<PendingRequest>();

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /** The number of requests that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether a request needs a lock that may be held, and has not been admitted. */
  concerns(request: PendingRequest): boolean {
    return this.#isSuspect(request) && !this.#admitted.has(request);
  }

  /**
   * Finds out which requests of a batch that timed out waiting for a lock have to wait here. Locked rows explain a timeout;
   * if there are none, another transaction may have inserted the rows that do not exist, or the keys.
   *
   * @returns for each request, whether it has to
   */
  async isolate(requests: readonly PendingRequest[]): Promise<boolean[]> {
    const rows = [...new Map(requests.flatMap((one) => one.rows.map((row) => [idOf(row), row]))).values()];
    const holders = await this.#options.store.look(rows).catch(() => undefined);
    // Without an answer, the next attempt finds out what the matter is.
    if (!holders) return requests.map(() => false);
    const isHeld = (row: Row) => typeof holders.get(idOf(row)) === 'string';
    if (rows.some(isHeld)) {
      for (const row of rows.filter(isHeld)) this.#suspect(idOf(row), row, holders.get(idOf(row)));
    } else {
      const isInserting = ({ rows: own, key }: PendingRequest) =>
        key !== undefined || own.some((row) => !holders.has(idOf(row)));
      const inserting = requests.filter(isInserting);
      const untried = inserting.filter((request) => !this.#admitted.delete(request));
      for (const request of untried.length > 0 ? untried : inserting)
        for (const [id, place] of placesOf(request)) if (!holders.has(id)) this.#suspect(id, place);
    }
    inNoContext(() => this.#schedule());
    return requests.map((request) => this.#isSuspect(request));
  }

  /**
   * Resolves when the request may be written.
   *
   * @param since when it began to wait for a lock, by `performance.now()`
   * @throws {Problem} `busy` when a lock was not released in time: not counted
   */
  wait(request: PendingRequest, since: number): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (!this.#isSuspect(request)) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const one: Waiting = { request, since, locks: new Set(), resolve, reject };
    // If its key was used before, it needs none of the other locks.
    if (request.key !== undefined) this.#suspect(idOfKey(request.key), request.key);
    for (const [id] of placesOf(request)) {
      const lock = this.#locks.get(id);
      if (!lock) continue;
      // It may have been released long ago.
      if (lock.waiting.size === 0) lock.dueAt = 0;
      lock.waiting.add(one);
      one.locks.add(lock);
    }
    this.#waiting.add(one);
    this.#weight += weightOf(request);
    for (const oldest of this.#waiting) {
      if (this.#weight <= this.#options.queueMax) break;
      this.#refuse(oldest);
    }
    inNoContext(() => this.#schedule());
    return promise;
  }

  /** Refuses the requests that wait. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const one of this.#waiting) this.#remove(one).reject(reason);
    this.#locks.clear();
  }

  #isSuspect({ rows, key }: PendingRequest): boolean {
    if (this.#locks.size === 0) return false;
    return (
      rows.some((row) => this.#locks.has(idOf(row))) || (key !== undefined && this.#locks.has(idOfKey(key)))
    );
  }

  #suspect(id: string, place: Row | string, holder?: string | null): void {
    if (this.#locks.has(id)) return;
    const isAbsent = holder === undefined;
    const lock: Lock = {
      id,
      place,
      state: 'new',
      holder: holder ?? null,
      isAbsent,
      waiting: new Set(),
      looks: 0,
      dueAt: 0,
    };
    this.#locks.set(id, lock);
    if (isAbsent) this.#new.push(lock);
    else this.#hold(lock);
  }

  #hold(lock: Lock): void {
    const ms = Math.max(LOOK_MS.min, this.#options.batchMs() / 4) * 2 ** lock.looks;
    lock.state = 'held';
    lock.looks += 1;
    lock.dueAt = performance.now() + Math.min(ms, LOOK_MS.max);
    this.#held.push(lock);
  }

  #schedule(): void {
    for (const [i, isLooking] of this.#looking.entries()) {
      const locks = isLooking ? [] : this.#next(i);
      if (locks.length > 0) void this.#look(i, locks);
    }
    if (this.#locks.size === 0 || this.#ticking) return;
    this.#ticking = true;
    setTimeout(() => this.#tick(), LOOK_MS.min);
  }

  #tick(): void {
    this.#ticking = false;
    const now = performance.now();
    const latest = now - this.#options.waitMsMax;
    for (const one of this.#waiting) {
      // It waits for its turn to be looked at, for as long again, unless one of its locks was found to be held.
      const isHeld = [...one.locks].some(({ looks }) => looks > 0);
      if (one.request.sent.abandoned?.()) this.#remove(one).reject(clientGone());
      else if (one.since <= (isHeld ? latest : latest - this.#options.waitMsMax)) this.#refuse(one);
    }
    // A lock for which nothing waits is found again by the next batch that needs it.
    this.#held = this.#held.filter((lock) => {
      const isKept = lock.waiting.size > 0 || lock.dueAt > latest;
      if (!isKept) this.#locks.delete(lock.id);
      return isKept;
    });
    this.#schedule();
  }

  /** The next locks to look at, all in the same way; they leave their queue. */
  #next(look: number): Lock[] {
    const now = performance.now();
    const queues = [this.#new, this.#held];
    const isDue = ({ dueAt }: Lock) => dueAt <= now;
    const queue = (look === 0 ? queues : queues.toReversed()).find((one) => one.some(isDue)) ?? [];
    const due = queue.filter(isDue);
    const [first] = due;
    if (!first) return [];
    const alike = due.filter(({ isAbsent }) => isAbsent === first.isAbsent);
    const next = alike.slice(0, first.isAbsent ? PROBE_MAX : LOOK_MAX);
    for (const lock of next) lock.state = 'being looked at';
    this.#new = this.#new.filter(({ state }) => state === 'new');
    this.#held = this.#held.filter(({ state }) => state === 'held');
    return next;
  }

  async #look(look: number, locks: readonly Lock[]): Promise<void> {
    this.#looking[look] = true;
    try {
      if (locks[0]?.isAbsent) await this.#probe(locks);
      else await this.#lookAtRows(locks);
    } catch {
      // The batch finds out, and says, what the matter is.
      for (const lock of locks) this.#free(lock);
    }
    this.#looking[look] = false;
    this.#schedule();
  }

  async #lookAtRows(locks: readonly Lock[]): Promise<void> {
    const holders = await this.#options.store.look(locks.map(({ place }) => place as Row));
    for (const lock of locks) {
      const holder = holders.get(lock.id);
      const isSame = typeof holder === 'string' && holder === lock.holder;
      if (isSame) this.#hold(lock);
      else this.#free(lock);
    }
  }

  async #probe(locks: readonly Lock[]): Promise<void> {
    const probed = await this.#options.store.probe(locks.map(({ place }) => place));
    for (const [i, lock] of locks.entries()) {
      const found = probed[i] as Probed;
      if (found === 'held') this.#hold(lock);
      else this.#free(lock, found === 'exists' && typeof lock.place === 'string');
    }
  }

  /** @param isUsed whether the lock is that of a key that was used: usually, its requests need no other lock */
  #free(lock: Lock, isUsed = false): void {
    this.#locks.delete(lock.id);
    for (const one of lock.waiting) {
      one.locks.delete(lock);
      // Once, since a batch that is decided locks all of its rows.
      if (one.locks.size > 0 && !(isUsed && !this.#admitted.has(one.request))) continue;
      this.#admitted.add(one.request);
      this.#remove(one).resolve();
    }
  }

  #refuse(one: Waiting): void {
    this.#remove(one).reject(lockedProblem(one.request));
  }

  #remove(one: Waiting): Waiting {
    for (const lock of one.locks) lock.waiting.delete(one);
    if (this.#waiting.delete(one)) this.#weight -= weightOf(one.request);
    return one;
  }
}

/** What a request locks: its rows, and its key. */
function placesOf({ rows, key }: PendingRequest): [id: string, place: Row | string][] {
  const places: [string, Row | string][] = rows.map((row) => [idOf(row), row]);
  if (key !== undefined) places.push([idOfKey(key), key]);
  return places;
}

function lockedProblem({ rows }: PendingRequest): Problem {
  const names = rows.slice(0, 3).map(quotedRow).join(', ');
  return new Problem(
    'busy',
    `another transaction holds a lock that a request of ${names} needs; nothing was changed: try again later`,
  );
}
