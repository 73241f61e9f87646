import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { mayBeOfOneRequest } from './batch-refusal.ts';
import type { Outcome } from './batch-writer.ts';
import type { Answer, PendingRequest } from './request.ts';

/** Requests that are written together, and how many times the last of them failed alone. */
interface Party {
  requests: readonly Pending[];
  failures: number;
  since: number;
}

interface Pending {
  request: PendingRequest;
  resolve: (answer: Answer | Promise<Answer>) => void;
  reject: (error: unknown) => void;
}

/** How many times a single request is written that fails with a conflict, each time behind all others. */
const ALONE_MAX = 2;

/** For how long the requests of a failed batch are separated, in milliseconds. */
const ELAPSED_MS_MAX = 5000;

/**
 * Separates the requests of a batch that failed for a reason which may be that of one of them: a trigger, a policy or a
 * constraint of the application refuses it, with whatever SQLSTATE. The batch is written in halves, until the requests that
 * fail are alone; meanwhile, other batches are written. Those that fail alone with a conflict wait behind all others.
 */
export class Separation {
  readonly #write: (requests: readonly PendingRequest[]) => Promise<Outcome[]>;
  readonly #parties: Party[] = [];
  #running = false;

  /** @param write writes requests together, on a lane of its own; does not throw */
  constructor(write: (requests: readonly PendingRequest[]) => Promise<Outcome[]>) {
    this.#write = write;
  }

  /** @returns the answer to each request */
  separate(requests: readonly PendingRequest[]): Promise<Answer>[] {
    const pending = requests.map((request) => ({ request, ...Promise.withResolvers<Answer>() }));
    this.#parties.push({ requests: pending, failures: 0, since: performance.now() });
    void this.#run();
    return pending.map(({ promise }) => {
      // It may be rejected before its batch returns: without a handler, that would be an unhandled rejection.
      promise.catch(() => {});
      return promise;
    });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let party = this.#parties.shift(); party; party = this.#parties.shift()) {
      const outcomes = await this.#write(party.requests.map(({ request }) => request));
      this.#settle(party, outcomes);
    }
    this.#running = false;
  }

  #settle({ requests, failures, since }: Party, outcomes: readonly Outcome[]): void {
    const failed: Pending[] = [];
    const isLate = performance.now() - since >= ELAPSED_MS_MAX;
    const isAlone = requests.length === 1;
    /** Whether a request that failed is written once more. */
    const isOpen = (error: Error) =>
      mayBeOfOneRequest(error) &&
      !isLate &&
      (!isAlone || (error instanceof RetriesExhaustedError && failures + 1 < ALONE_MAX));
    for (const [i, one] of requests.entries()) {
      const outcome = outcomes[i] as Outcome;
      if (!(outcome instanceof Error)) one.resolve(outcome);
      else if (isOpen(outcome)) failed.push(one);
      else one.reject(outcome);
    }
    if (isAlone) {
      if (failed.length > 0) this.#parties.push({ requests: failed, failures: failures + 1, since });
      return;
    }
    const middle = Math.ceil(failed.length / 2);
    const halves = [failed.slice(0, middle), failed.slice(middle)].filter(({ length }) => length > 0);
    this.#parties.unshift(...halves.map((half) => ({ requests: half, failures: 0, since })));
  }
}
