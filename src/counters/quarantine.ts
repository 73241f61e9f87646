import { AsyncLocalStorage } from 'node:async_hooks';
import { hash } from 'node:crypto';
import { Problem } from '../errors/problem.ts';
import { type PendingRequest, weightOf } from './batch.ts';
import { isLocked, type Outcome } from './batch-writer.ts';
import type { Answer } from './request.ts';

/** Writes requests on a lane of its own; does not throw. */
export type WriteAlone = (requests: readonly PendingRequest[]) => Promise<Outcome[]>;

export interface QuarantineOptions {
  /** One for each batch that may be written at the same time. */
  writers: readonly WriteAlone[];
  /** Weight of one batch at most. */
  batchMax: number;
  /** How long a request waits for its locks at most, in milliseconds. */
  waitMsMax: number;
  /** Weight that waits here at most. */
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
  /** The counters and keys of these requests that were suspects when the first of them came. */
  suspects: readonly string[];
  waiting: Waiting[];
  /** When it was tried last, by `performance.now()`. */
  triedAt: number;
  /** Whether a lane is trying it. */
  running: boolean;
}

const NEVER = Number.NEGATIVE_INFINITY;

/** Before a group that found its lock taken is tried again, in milliseconds. */
const AGAIN_MS = 50;

/** Suspects that nobody asks for any more are forgotten when there are so many; those that matter are found again. */
const SUSPECTS_MAX = 10_000;

/** Lanes belong to many callers, and run in the asynchronous context of none. */
const inNoContext = AsyncLocalStorage.snapshot();

/** A key, as a suspect, cannot be confused with a name: names have no control characters. */
const keyToken = (key: string) => `\0${key}`;

/**
 * Where requests wait whose counter, or key, may be locked by another transaction, so that all others go on: a batch
 * waits for the slowest of its locks. Requests that need the same locks are tried together, with a real write on a lane
 * of its own and a short lock timeout, those that were never tried first. A write that succeeds ends the suspicion: a
 * counter that is merely busy is soon back on the main lane.
 */
export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #idle: WriteAlone[];
  readonly #suspects = new Set<string>();
  readonly #groups = new Map<string, Group>();
  #waiting = 0;
  #weight = 0;
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
    if (this.#weight >= this.#options.queueMax) return Promise.reject(locked(request));
    const suspects = this.#suspectsOf(request);
    const id = suspects.find((token) => token.startsWith('\0')) ?? locksOf(request);
    const known = this.#groups.get(id);
    const group = known ?? { suspects, waiting: [], triedAt: NEVER, running: false };
    if (!known) this.#groups.set(id, group);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#waiting === 0) this.#drained = Promise.withResolvers<void>();
    this.#waiting += 1;
    this.#weight += weightOf(request);
    group.waiting.push({ request, since: performance.now(), resolve, reject });
    inNoContext(() => this.#schedule());
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

  #suspectsOf({ increments, key }: PendingRequest): string[] {
    const tokens = new Set(increments.map(({ name }) => name));
    if (key !== undefined) tokens.add(keyToken(key));
    return [...tokens].filter((token) => this.#suspects.has(token));
  }

  /** Gives work to idle lanes: the group that was never tried, or longest ago, comes first. */
  #schedule(): void {
    if (this.#idle.length > 0) {
      const latest = performance.now() - AGAIN_MS;
      const ready = [...this.#groups].filter(([, { running, triedAt }]) => !running && triedAt <= latest);
      for (const [id, group] of ready.toSorted(([, a], [, b]) => a.triedAt - b.triedAt)) {
        const write = this.#idle.pop();
        if (!write) break;
        void this.#try(id, group, write);
      }
    }
    if (this.#groups.size === 0 || this.#ticking) return;
    this.#ticking = true;
    setTimeout(() => this.#tick(), AGAIN_MS);
  }

  #tick(): void {
    this.#ticking = false;
    const latest = performance.now() - this.#options.waitMsMax;
    for (const [id, { running, waiting }] of this.#groups) {
      const late = waiting.findIndex(({ since }) => since > latest);
      for (const one of waiting.splice(0, late < 0 ? waiting.length : late))
        this.#leave(one).reject(locked(one.request));
      if (!running && waiting.length === 0) this.#groups.delete(id);
    }
    this.#schedule();
  }

  async #try(id: string, group: Group, write: WriteAlone): Promise<void> {
    group.running = true;
    const batch = this.#takeBatch(group);
    const outcomes = await write(batch.map(({ request }) => request)).catch((error: Error) =>
      batch.map((): Outcome => error),
    );
    this.#idle.push(write);
    const again: Waiting[] = [];
    for (const [i, one] of batch.entries()) {
      const outcome = outcomes[i];
      if (outcome instanceof Error && isLocked(outcome) && !this.#closed) again.push(one);
      else if (outcome instanceof Error) this.#leave(one).reject(outcome);
      else this.#leave(one).resolve(outcome as Answer);
    }
    // Replays and refusals need no lock, so they say nothing about it.
    const free = outcomes.some((outcome) => 'values' in outcome && !outcome.replayed);
    if (free) for (const token of group.suspects) this.#suspects.delete(token);
    group.waiting.unshift(...again);
    group.triedAt = free ? NEVER : performance.now();
    group.running = false;
    if (group.waiting.length === 0) this.#groups.delete(id);
    this.#schedule();
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

/** The same for requests that write the same counters. Their keys are locks that each has to itself. */
function locksOf({ increments }: PendingRequest): string {
  const [only] = increments;
  if (only && increments.length === 1) return only.name;
  const names = [...new Set(increments.map(({ name }) => name))].toSorted();
  return names.length === 1 && only ? only.name : `\0${hash('sha256', JSON.stringify(names), 'base64url')}`;
}

function locked({ increments }: PendingRequest): Problem {
  const names = [...new Set(increments.map(({ name }) => JSON.stringify(name)))].slice(0, 3).join(', ');
  return new Problem('busy', `another transaction holds a lock that the increment of ${names} needs`);
}
