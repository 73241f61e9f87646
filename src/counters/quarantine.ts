import { AsyncLocalStorage } from 'node:async_hooks';
import { hash } from 'node:crypto';
import { Problem } from '../errors/problem.ts';
import { isLocked, type Outcome } from './batch-writer.ts';
import { type Answer, type PendingRequest, weightOf } from './request.ts';
import { idOf, quotedRow } from './row.ts';

/** Writes requests on a separate lane, waiting so many milliseconds for each lock; does not throw. */
export type WriteAlone = (requests: readonly PendingRequest[], lockMs: number) => Promise<Outcome[]>;

export interface QuarantineOptions {
  /** One for each batch that may be written at the same time: two or more, since one is reserved for first attempts. */
  writers: readonly WriteAlone[];
  /** The highest weight of one batch. */
  batchMax: number;
  /** How long a request whose locks were found to be held may wait for them, in milliseconds. */
  waitMsMax: number;
  /** The highest weight of the requests that wait for locks; as much again may wait for a first attempt. */
  queueMax: number;
}

interface Waiting {
  request: PendingRequest;
  since: number;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/** Requests that need the same locks, in the order of their arrival. */
interface Group {
  id: string;
  waiting: Waiting[];
  /** How many attempts of this group alone, in a row, timed out waiting for a lock. */
  timeouts: number;
  /** When the group may be retried, by `performance.now()`. */
  dueAt: number;
  /** How many groups, including this one, may be tried together: halved by each attempt that times out on a lock. */
  togetherMax: number;
}

/** The delay before a locked group is retried, in milliseconds; it doubles with each further attempt. */
const RETRY_MS = { base: 50, max: 500 };

/** How long a first attempt waits for each lock, in milliseconds: no longer than another transaction's short commit. */
const FIRST_LOCK_MS = 5;

/**
 * How long an attempt that needs several locks waits for each of them, in milliseconds: meanwhile it holds the locks that
 * it already has, and other replicas may need them.
 */
const SEVERAL_LOCKS_MS = 25;

/** The most suspects. Beyond that all are forgotten; those that are still locked are found again. */
const SUSPECTS_MAX = 10_000;

/** A lane serves many callers, so it runs in the asynchronous context of none of them. */
const inNoContext = AsyncLocalStorage.snapshot();

/** Marks a suspect as a key. It cannot be confused with a name, since names have no control characters. */
const keyToken = (key: string) => `\0${key}`;

/**
 * Holds the requests whose counter or key may be locked by another transaction, so that no other request waits: a batch
 * waits for the slowest of its locks. Requests that need the same locks form a group. Groups are first tried together,
 * with a real write and a very short wait for locks. If a lock is held, they are tried in halves, until each group is
 * written or known to be locked. So a request that needs no locked counter is written soon, however many others are
 * locked. Locked groups take turns to be retried. Once a request has been written, or refused because it does not fit, its
 * counters and its key are no longer suspects: a counter that is merely busy is soon back on the main lane.
 */
export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #idle: WriteAlone[];
  readonly #suspects = new Set<string>();
  readonly #groups = new Map<string, Group>();
  /** Groups that are not known to be locked, in the order of their turns. A group being tried is in neither set. */
  readonly #untried = new Set<Group>();
  /** Groups that are known to be locked. */
  readonly #locked = new Set<Group>();
  #waiting = 0;
  #weight = 0;
  /** The number of locked groups that are being retried. */
  #retrying = 0;
  #ticking = false;
  #drained = Promise.withResolvers<void>();
  #closed: Error | undefined;

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.#idle = [...options.writers];
    this.#drained.resolve();
  }

  /** The number of requests in quarantine. */
  get waiting(): number {
    return this.#waiting;
  }

  /** From now on, requests that need one of these counters or keys are quarantined. */
  suspect(names: Iterable<string>, keys: Iterable<string> = []): void {
    if (this.#suspects.size > SUSPECTS_MAX) this.#suspects.clear();
    for (const name of names) this.#suspects.add(name);
    for (const key of keys) this.#suspects.add(keyToken(key));
  }

  /** Whether the request needs a counter or a key that may be locked. */
  concerns(request: PendingRequest): boolean {
    return this.#suspects.size > 0 && this.#suspectsOf(request).length > 0;
  }

  /** @throws {Problem} `busy` when a lock was not released in time, or too many requests wait: not counted */
  submit(request: PendingRequest): Promise<Answer> {
    const suspects = this.#suspectsOf(request);
    // Requests with the same suspected key form a group; others form one if they write the same counters.
    const id = suspects.find((token) => token.startsWith('\0')) ?? locksOf(request);
    const known = this.#groups.get(id);
    // Requests of locked groups leave room for those of groups that have not been tried yet.
    const queueMax = this.#options.queueMax * (known?.timeouts ? 1 : 2);
    if (this.#weight >= queueMax) return Promise.reject(lockedProblem(request));
    const group = known ?? this.#newGroup(id);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#waiting === 0) this.#drained = Promise.withResolvers<void>();
    this.#waiting += 1;
    this.#weight += weightOf(request);
    group.waiting.push({ request, since: performance.now(), resolve, reject });
    // An existing group is being tried already, or is in line for its turn.
    if (!known) inNoContext(() => this.#schedule());
    return promise;
  }

  /** Resolves when no request is in quarantine. */
  drain(): Promise<void> {
    return this.#drained.promise;
  }

  /** Refuses the requests that wait; those being written are completed. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const { waiting } of this.#groups.values())
      for (const one of waiting.splice(0)) this.#remove(one).reject(reason);
  }

  #suspectsOf(request: PendingRequest): string[] {
    return [...tokensOf(request)].filter((token) => this.#suspects.has(token));
  }

  #newGroup(id: string): Group {
    const togetherMax = Number.POSITIVE_INFINITY;
    const group: Group = { id, waiting: [], timeouts: 0, dueAt: 0, togetherMax };
    this.#groups.set(id, group);
    this.#untried.add(group);
    return group;
  }

  /** Gives work to idle lanes. All but one may retry locked groups; the last one is reserved for untried groups. */
  #schedule(): void {
    while (this.#idle.length > 0 && this.#retrying < this.#options.writers.length - 1) {
      const { next, count } = this.#due();
      if (!next) break;
      void this.#try([next], lockMsOf(next, count));
    }
    while (this.#untried.size > 0 && this.#idle.length > 0)
      void this.#try(this.#nextTogether(), FIRST_LOCK_MS);
    if (this.#groups.size === 0 || this.#ticking) return;
    this.#ticking = true;
    setTimeout(() => this.#tick(), RETRY_MS.base);
  }

  /** The number of locked groups that are due for a retry, and the next of them. */
  #due(): { next: Group | undefined; count: number } {
    const now = performance.now();
    let next: Group | undefined;
    let count = 0;
    for (const group of this.#locked) {
      if (group.dueAt > now) continue;
      count += 1;
      if (!next || rankOf(group) < rankOf(next)) next = group;
    }
    return { next, count };
  }

  /** Refuses requests that have waited too long, except in untried groups: those wait for their turn, not for a lock. */
  #tick(): void {
    this.#ticking = false;
    const latest = performance.now() - this.#options.waitMsMax;
    for (const group of this.#groups.values()) {
      const { waiting, timeouts } = group;
      const late = timeouts === 0 ? 0 : waiting.findIndex(({ since }) => since > latest);
      for (const one of waiting.splice(0, late < 0 ? waiting.length : late))
        this.#remove(one).reject(lockedProblem(one.request));
      const isQueued = this.#untried.has(group) || this.#locked.has(group);
      if (isQueued && waiting.length === 0) this.#forget(group);
    }
    this.#schedule();
  }

  async #try(groups: readonly Group[], lockMs: number): Promise<void> {
    const write = this.#idle.pop() as WriteAlone;
    const retrying = groups.filter(({ timeouts }) => timeouts > 0).length;
    this.#retrying += retrying;
    const batches = groups.map((group) => {
      this.#untried.delete(group);
      this.#locked.delete(group);
      return this.#takeBatch(group);
    });
    const requests = batches.flat().map(({ request }) => request);
    const outcomes = await write(requests, lockMs).catch((error: Error) =>
      requests.map((): Outcome => error),
    );
    this.#idle.push(write);
    this.#retrying -= retrying;
    for (const [i, group] of groups.entries()) {
      const batch = batches[i] ?? [];
      this.#settle(group, batch, outcomes.splice(0, batch.length), groups.length);
    }
    this.#schedule();
  }

  #settle(group: Group, batch: readonly Waiting[], outcomes: readonly Outcome[], together: number): void {
    const again: Waiting[] = [];
    for (const [i, one] of batch.entries()) {
      const outcome = outcomes[i];
      if (outcome instanceof Error && isLocked(outcome) && !this.#closed) again.push(one);
      else this.#finish(one, outcome as Answer | Error);
    }
    group.waiting.unshift(...again);
    if (again.length === 0) {
      group.togetherMax = Number.POSITIVE_INFINITY;
      group.timeouts = 0;
    } else {
      group.togetherMax = Math.max(1, Math.floor(together / 2));
      // Only an attempt of one group alone shows which group needs the lock.
      if (together === 1) {
        group.dueAt = performance.now() + Math.min(RETRY_MS.base * 2 ** group.timeouts, RETRY_MS.max);
        group.timeouts += 1;
      }
    }
    if (group.waiting.length === 0) this.#forget(group);
    // Behind all others, so that each group has its turn.
    else (group.timeouts > 0 ? this.#locked : this.#untried).add(group);
  }

  #finish(one: Waiting, outcome: Answer | Error): void {
    if (heldItsLocks(outcome)) for (const token of tokensOf(one.request)) this.#suspects.delete(token);
    const { resolve, reject } = this.#remove(one);
    if (outcome instanceof Error) reject(outcome);
    else resolve(outcome);
  }

  #forget(group: Group): void {
    this.#groups.delete(group.id);
    this.#untried.delete(group);
    this.#locked.delete(group);
  }

  /** The next groups to try together: as many as each of them allows. */
  #nextTogether(): Group[] {
    const groups: Group[] = [];
    let weight = 0;
    let countMax = Number.POSITIVE_INFINITY;
    for (const group of this.#untried) {
      weight += group.waiting.reduce((sum, { request }) => sum + weightOf(request), 0);
      countMax = Math.min(countMax, group.togetherMax);
      if (groups.length > 0 && (groups.length >= countMax || weight > this.#options.batchMax)) break;
      groups.push(group);
    }
    return groups;
  }

  #takeBatch({ waiting }: Group): Waiting[] {
    let count = 0;
    for (let weight = 0; count < waiting.length; count += 1) {
      weight += weightOf((waiting[count] as Waiting).request);
      if (count > 0 && weight > this.#options.batchMax) break;
    }
    return waiting.splice(0, count);
  }

  #remove(one: Waiting): Waiting {
    this.#waiting -= 1;
    this.#weight -= weightOf(one.request);
    if (this.#waiting === 0) this.#drained.resolve();
    return one;
  }
}

/**
 * Whether the request held its locks when it was decided: it was written, or refused because it does not fit. A replay
 * and the other failures need no lock, so they say nothing about the locks.
 */
const heldItsLocks = (outcome: Answer | Error): boolean =>
  outcome instanceof Error
    ? outcome instanceof Problem && /^(out_of_bounds|out_of_range|precondition_failed)$/.test(outcome.code)
    : !outcome.replayed;

/** The counters and the key whose locks a request needs. */
function tokensOf({ rows, key }: PendingRequest): Set<string> {
  const tokens = new Set(rows.map(idOf));
  if (key !== undefined) tokens.add(keyToken(key));
  return tokens;
}

/**
 * The order of turns. A group with fewer timeouts is more likely to be merely busy, and comes first, but not for ever: a
 * group that has been due for long comes before one that has just become due.
 */
const rankOf = ({ dueAt, timeouts }: Group): number => dueAt + Math.min(timeouts, 4) * RETRY_MS.max;

/** How long a retry waits for each lock, in milliseconds: short if many groups are due, so that each has its turn soon. */
const lockMsOf = ({ id }: Group, due: number): number =>
  id.startsWith('\0') ? SEVERAL_LOCKS_MS : Math.max(FIRST_LOCK_MS, Math.ceil(RETRY_MS.max / due));

/**
 * Identifies the counters that a request writes: the name of a single one, or `\0` and a digest of several. Its key is left
 * out, since no other request needs the lock on it.
 */
function locksOf({ rows }: PendingRequest): string {
  const [only] = rows;
  if (only && rows.length === 1) return idOf(only);
  return `\0${hash('sha256', JSON.stringify(rows.map(idOf)), 'base64url')}`;
}

function lockedProblem({ rows }: PendingRequest): Problem {
  const names = rows.slice(0, 3).map(quotedRow).join(', ');
  return new Problem(
    'busy',
    `another transaction holds a lock that a request of ${names} needs; nothing was changed: try again later`,
  );
}
