import { Problem } from '../errors/problem.ts';
import { isLocked, type Outcome } from './batch-writer.ts';
import type { PendingRequest } from './batch.ts';
import type { Answer } from './request.ts';

/** Writes requests on a lane of its own; does not throw. */
export type WriteAlone = (requests: readonly PendingRequest[]) => Promise<Outcome[]>;

export interface QuarantineOptions {
  /** One for each batch that may be written at the same time. */
  writers: readonly WriteAlone[];
  /** How long a request waits for its locks at most, in milliseconds. */
  waitMsMax: number;
  /** Requests that wait here at most. */
  queueMax: number;
}

interface Waiting {
  request: PendingRequest;
  since: number;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/** Requests that are held up by the same suspects. */
interface Group {
  suspects: readonly string[];
  waiting: Waiting[];
  /** Not to be tried before, by `performance.now()`. */
  notBefore: number;
  /** Whether a lane is trying it. */
  running: boolean;
}

/** Before a group that found its lock taken is tried again, in milliseconds. */
const AGAIN_MS = 50;

/** Requests of one batch at most. */
const BATCH_MAX = 1000;

/** A key, as a suspect, cannot be confused with a name: names have no control characters. */
const keyToken = (key: string) => `\0${key}`;

/**
 * Where requests wait whose counter, or key, may be locked by another transaction, so that all others go on: a batch
 * waits for the slowest of its locks. Each group of them is tried with a real write on a lane of its own and a short
 * lock timeout, those that were never tried first. One write that succeeds ends the suspicion: a counter that is
 * merely busy is soon back on the main lane.
 */
export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #idle: WriteAlone[];
  readonly #suspects = new Set<string>();
  readonly #groups = new Map<string | PendingRequest, Group>();
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;
  #drained = Promise.withResolvers<void>();

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.#idle = [...options.writers];
    this.#drained.resolve();
  }

  /** Requests that wait here. */
  get waiting(): number {
    return this.#waiting;
  }

  /** From now on, requests that touch one of these counters or keys wait here. */
  suspect(names: Iterable<string>, keys: Iterable<string> = []): void {
    for (const name of names) this.#suspects.add(name);
    for (const key of keys) this.#suspects.add(keyToken(key));
  }

  /** Whether the request touches a counter or a key that may be locked. */
  concerns(request: PendingRequest): boolean {
    return this.#suspects.size > 0 && this.#suspectsOf(request).length > 0;
  }

  /** @throws {Problem} `busy` when the lock was not to be had in time, or too many wait: not counted */
  submit(request: PendingRequest): Promise<Answer> {
    if (this.#waiting >= this.#options.queueMax) return Promise.reject(locked(request));
    const suspects = this.#suspectsOf(request);
    const [only] = suspects;
    const id = suspects.length === 1 && only !== undefined ? only : request;
    const group = this.#groups.get(id) ?? { suspects, waiting: [], notBefore: 0, running: false };
    this.#groups.set(id, group);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#waiting === 0) this.#drained = Promise.withResolvers<void>();
    this.#waiting += 1;
    group.waiting.push({ request, since: performance.now(), resolve, reject });
    this.#schedule();
    return promise;
  }

  /** Resolves when no request waits here. */
  drain(): Promise<void> {
    return this.#drained.promise;
  }

  #suspectsOf({ increments, key }: PendingRequest): string[] {
    const tokens = new Set(increments.map(({ name }) => name));
    if (key !== undefined) tokens.add(keyToken(key));
    return [...tokens].filter((token) => this.#suspects.has(token));
  }

  /** Gives work to idle writers: of the groups whose time has come, the one that has waited longest to be tried. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#idle.length === 0) return;
    const now = performance.now();
    const resting = [...this.#groups].filter(([, { running }]) => !running);
    for (const [id, group] of resting.toSorted(([, a], [, b]) => a.notBefore - b.notBefore)) {
      if (group.notBefore > now) {
        this.#timer = setTimeout(() => this.#schedule(), group.notBefore - now);
        return;
      }
      const write = this.#idle.pop();
      if (!write) return;
      void this.#try(id, group, write);
    }
  }

  async #try(id: string | PendingRequest, group: Group, write: WriteAlone): Promise<void> {
    const batch = group.waiting.splice(0, BATCH_MAX);
    group.running = true;
    const outcomes = await write(batch.map(({ request }) => request));
    this.#idle.push(write);
    const again: Waiting[] = [];
    let free = false;
    for (const [i, one] of batch.entries()) {
      const outcome = outcomes[i];
      if (outcome instanceof Error && isLocked(outcome)) {
        if (performance.now() - one.since < this.#options.waitMsMax) again.push(one);
        else this.#leave(one).reject(locked(one.request));
      } else {
        free = true;
        if (outcome instanceof Error) this.#leave(one).reject(outcome);
        else this.#leave(one).resolve(outcome as Answer);
      }
    }
    if (free) for (const token of group.suspects) this.#suspects.delete(token);
    group.waiting.unshift(...again);
    group.notBefore = free ? 0 : performance.now() + AGAIN_MS;
    group.running = false;
    if (group.waiting.length === 0) this.#groups.delete(id);
    this.#schedule();
  }

  #leave(one: Waiting): Waiting {
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#drained.resolve();
    return one;
  }
}

function locked({ increments }: PendingRequest): Problem {
  const names = [...new Set(increments.map(({ name }) => JSON.stringify(name)))].slice(0, 3).join(', ');
  return new Problem('busy', `another transaction holds a lock that the increment of ${names} needs`);
}
