import { AsyncLocalStorage } from 'node:async_hooks';
import { hash } from 'node:crypto';
import { Problem } from '../errors/problem.ts';
import { type PendingRequest, weightOf } from './batch.ts';
import { isLocked, type Outcome } from './batch-writer.ts';
import type { Answer } from './request.ts';
import { quoted } from './windows.ts';

/** Writes requests on a lane of its own, waiting so many milliseconds for each lock; does not throw. */
export type WriteAlone = (requests: readonly PendingRequest[], lockMs: number) => Promise<Outcome[]>;

export interface QuarantineOptions {
  /** One for each batch that may be written at the same time: two or more, as one is kept for first attempts. */
  writers: readonly WriteAlone[];
  /** Weight of one batch at most. */
  batchMax: number;
  /** How long a request whose locks were found taken waits for them at most, in milliseconds. */
  waitMsMax: number;
  /** Weight that waits for locks at most; as much again may wait to be tried. */
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
  /** How often in a row its locks were found taken, by itself. */
  refusals: number;
  /** When it may be tried again, by `performance.now()`. */
  dueAt: number;
  /** How many groups may be tried together, it included: half as many after each attempt that met a lock. */
  togetherMax: number;
}

/** Before a group whose lock was taken is tried again, in milliseconds; twice as long after each further attempt. */
const AGAIN_MS = { base: 50, max: 500 };

/** How long a first attempt waits for each lock, in milliseconds: another transaction's short commit, but no more. */
const FIRST_LOCK_MS = 5;

/**
 * How long an attempt that needs several locks waits for each of them, in milliseconds: those it has already are held
 * meanwhile, and other replicas may need them.
 */
const SEVERAL_LOCKS_MS = 25;

/** Beyond so many, suspects are forgotten; those that matter are found again. */
const SUSPECTS_MAX = 10_000;

/** Lanes belong to many callers, and run in the asynchronous context of none. */
const inNoContext = AsyncLocalStorage.snapshot();

/** A key, as a suspect, cannot be confused with a name: names have no control characters. */
const keyToken = (key: string) => `\0${key}`;

/**
 * Where requests wait whose counter, or key, may be locked by another transaction, so that all others go on: a batch
 * waits for the slowest of its locks. Requests that need the same locks form a group. Groups are first tried together,
 * with a real write and a very short wait for locks; when that meets a lock, in halves, until each group is written or
 * known to be locked. So a request that needs no locked counter is written soon, however many others are locked. Locked
 * groups are tried again in turns. What succeeds, or is found not to fit, ends the suspicion: a counter that is merely
 * busy is soon back on the main lane.
 */
export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #idle: WriteAlone[];
  readonly #suspects = new Set<string>();
  readonly #groups = new Map<string, Group>();
  /** Those that are not known to be locked, in the order of their turns. A group that is being tried is in neither. */
  readonly #untried = new Set<Group>();
  /** Those whose locks were found taken. */
  readonly #locked = new Set<Group>();
  #waiting = 0;
  #weight = 0;
  /** Lanes that try groups whose locks were found taken. */
  #retrying = 0;
  #ticking = false;
  #drained = Promise.withResolvers<void>();
  #closed: Error | undefined;

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.#idle = [...options.writers];
    this.#drained.resolve();
  }

  /** Requests that wait here. */
  get waiting(): number {
    return this.#waiting;
  }

  /** From now on, requests that need one of these counters or keys wait here. */
  suspect(names: Iterable<string>, keys: Iterable<string> = []): void {
    if (this.#suspects.size > SUSPECTS_MAX) this.#suspects.clear();
    for (const name of names) this.#suspects.add(name);
    for (const key of keys) this.#suspects.add(keyToken(key));
  }

  /** Whether the request needs a counter or a key that may be locked. */
  concerns(request: PendingRequest): boolean {
    return this.#suspects.size > 0 && this.#suspectsOf(request).length > 0;
  }

  /** @throws {Problem} `busy` when the lock was not to be had in time, or too many wait: not counted */
  submit(request: PendingRequest): Promise<Answer> {
    const suspects = this.#suspectsOf(request);
    const id = suspects.find((token) => token.startsWith('\0')) ?? locksOf(request);
    const known = this.#groups.get(id);
    // Those that wait for a lock leave room for those that are only suspected to need one.
    const queueMax = this.#options.queueMax * (known?.refusals ? 1 : 2);
    if (this.#weight >= queueMax) return Promise.reject(locked(request));
    const group = known ?? this.#newGroup(id);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#waiting === 0) this.#drained = Promise.withResolvers<void>();
    this.#waiting += 1;
    this.#weight += weightOf(request);
    group.waiting.push({ request, since: performance.now(), resolve, reject });
    // One that is known is being tried, or has its turn.
    if (!known) inNoContext(() => this.#schedule());
    return promise;
  }

  /** Resolves when no request waits here. */
  drain(): Promise<void> {
    return this.#drained.promise;
  }

  /** Refuses what waits; what is being written is waited for. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const { waiting } of this.#groups.values())
      for (const one of waiting.splice(0)) this.#leave(one).reject(reason);
  }

  #suspectsOf(request: PendingRequest): string[] {
    return [...tokensOf(request)].filter((token) => this.#suspects.has(token));
  }

  #newGroup(id: string): Group {
    const togetherMax = Number.POSITIVE_INFINITY;
    const group: Group = { id, waiting: [], refusals: 0, dueAt: 0, togetherMax };
    this.#groups.set(id, group);
    this.#untried.add(group);
    return group;
  }

  /** Gives work to idle lanes. All but one may be kept waiting by locks; the last is for groups never tried. */
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
    setTimeout(() => this.#tick(), AGAIN_MS.base);
  }

  /** How many locked groups may be tried again by now, and which one is the next. */
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

  /** Refuses what has waited too long, but nothing that was not tried: that waits for its turn, not for a lock. */
  #tick(): void {
    this.#ticking = false;
    const latest = performance.now() - this.#options.waitMsMax;
    for (const group of this.#groups.values()) {
      const { waiting, refusals } = group;
      const late = refusals === 0 ? 0 : waiting.findIndex(({ since }) => since > latest);
      for (const one of waiting.splice(0, late < 0 ? waiting.length : late))
        this.#leave(one).reject(locked(one.request));
      const isQueued = this.#untried.has(group) || this.#locked.has(group);
      if (isQueued && waiting.length === 0) this.#forget(group);
    }
    this.#schedule();
  }

  async #try(groups: readonly Group[], lockMs: number): Promise<void> {
    const write = this.#idle.pop() as WriteAlone;
    const retrying = groups.filter(({ refusals }) => refusals > 0).length;
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
      else this.#end(one, outcome as Answer | Error);
    }
    group.waiting.unshift(...again);
    if (again.length === 0) {
      group.togetherMax = Number.POSITIVE_INFINITY;
      group.refusals = 0;
    } else {
      group.togetherMax = Math.max(1, Math.floor(together / 2));
      // Of several groups, it is not known which one needs the lock.
      if (together === 1) {
        group.dueAt = performance.now() + Math.min(AGAIN_MS.base * 2 ** group.refusals, AGAIN_MS.max);
        group.refusals += 1;
      }
    }
    if (group.waiting.length === 0) this.#forget(group);
    // Behind all others, so that each of them has its turn.
    else (group.refusals > 0 ? this.#locked : this.#untried).add(group);
  }

  #end(one: Waiting, outcome: Answer | Error): void {
    if (hadItsLocks(outcome)) for (const token of tokensOf(one.request)) this.#suspects.delete(token);
    const { resolve, reject } = this.#leave(one);
    if (outcome instanceof Error) reject(outcome);
    else resolve(outcome);
  }

  #forget(group: Group): void {
    this.#groups.delete(group.id);
    this.#untried.delete(group);
    this.#locked.delete(group);
  }

  /** The next groups that are tried together: as many as each of them allows. */
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
      weight += weightOf(waiting[count]?.request ?? { increments: [] });
      if (count > 0 && weight > this.#options.batchMax) break;
    }
    return waiting.splice(0, count);
  }

  #leave(one: Waiting): Waiting {
    this.#waiting -= 1;
    this.#weight -= weightOf(one.request);
    if (this.#waiting === 0) this.#drained.resolve();
    return one;
  }
}

/**
 * Whether the request was decided while it had its locks: it was written, or does not fit. A replay and the other
 * failures need none, so they say nothing about them.
 */
const hadItsLocks = (outcome: Answer | Error): boolean =>
  outcome instanceof Error
    ? outcome instanceof Problem && (outcome.code === 'out_of_bounds' || outcome.code === 'out_of_range')
    : !outcome.replayed;

/** The counters, and the key, that a request needs. */
function tokensOf({ increments, key }: PendingRequest): Set<string> {
  const tokens = new Set(increments.map(({ name }) => name));
  if (key !== undefined) tokens.add(keyToken(key));
  return tokens;
}

/**
 * The order of turns. What was refused less often is more likely to be merely busy, and comes first; but not for ever:
 * what has been due for long comes before what has just become due.
 */
const rankOf = ({ dueAt, refusals }: Group): number => dueAt + Math.min(refusals, 4) * AGAIN_MS.max;

/** How long another attempt waits for each lock, in milliseconds, so that all that are due have their turn soon. */
const lockMsOf = ({ id }: Group, due: number): number =>
  id.startsWith('\0') ? SEVERAL_LOCKS_MS : Math.max(FIRST_LOCK_MS, Math.ceil(AGAIN_MS.max / due));

/** The same for requests that write the same counters. Their keys are locks that each has to itself. */
function locksOf({ increments }: PendingRequest): string {
  const [only] = increments;
  if (only && increments.length === 1) return only.name;
  const names = [...new Set(increments.map(({ name }) => name))].toSorted();
  return names.length === 1 && only ? only.name : `\0${hash('sha256', JSON.stringify(names), 'base64url')}`;
}

function locked({ increments }: PendingRequest): Problem {
  const names = [...new Set(increments.map(({ name }) => quoted(name)))].slice(0, 3).join(', ');
  return new Problem('busy', `another transaction holds a lock that the increment of ${names} needs`);
}
