import { setTimeout } from 'node:timers/promises';
import { type TryResult, HttpClient } from './http-client.ts';
import type { Journal } from '../journal/journal.ts';
import { incrementsOf, isKeyed, type Kind, keyOf, type Operation } from '../journal/operation.ts';
import { pick, type Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** How long a client that was refused waits before it asks again, in milliseconds: this long at first, then longer. */
const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 250;

/** Of 100 requests. The rest are single ones with a key. */
const SHARES: readonly [Kind, number][] = [
  ['unkeyed', 10],
  ['bulk', 5],
  ['amount', 5],
];

/** Of 100 keyed requests, those sent to two replicas at once: both must give the same answer, and it counts once. */
const TWINS = 1;

/** Of 100 requests, those whose sender hangs up soon; in milliseconds, how soon, and how long the others wait. */
const IMPATIENT = 20;
const IMPATIENT_MS = 1000;
/** Longer than the service may take to find out what became of a lost answer. */
const PATIENT_MS = 30_000;

/** A client stays with its replica for so many requests on average, or until that does not serve it. */
const STAY = 100;

/** Clients that ask for increments, each as soon as its last one has ended. */
export class Callers {
  readonly #journal: Journal;
  readonly #replicas: readonly Replica[];
  readonly #random: Random;
  readonly #client = new HttpClient();
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #acknowledged = 0;
  #lastAt = performance.now();
  #longestGapMs = 0;

  constructor(journal: Journal, replicas: readonly Replica[], random: Random) {
    this.#journal = journal;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** Increments that were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The longest time without an acknowledgement since this was last asked, in milliseconds. */
  takeLongestGapMs(): number {
    const gap = Math.max(this.#longestGapMs, performance.now() - this.#lastAt);
    this.#longestGapMs = 0;
    return gap;
  }

  /** Runs so many clients until `stop`, or until the journal is full. Resolves when all have their answers. */
  async run(clients: number): Promise<void> {
    this.#lastAt = performance.now();
    this.#running = Promise.all(Array.from({ length: clients }, () => this.#one()));
    await this.#running;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Hangs up, whatever is under way. Resolves when nobody asks for anything any more. */
  async end(): Promise<void> {
    this.stop();
    this.#client.close();
    await this.#running;
  }

  /** Sends an operation again, as often as it takes to have an answer, at most for that long in milliseconds. */
  async settle(operation: Operation, elapsedMsMax: number): Promise<void> {
    const deadline = performance.now() + elapsedMsMax;
    for (let pauseMs = PAUSE_MS_MIN; performance.now() < deadline; pauseMs = longer(pauseMs)) {
      const answer = await this.#send(operation);
      if (this.#record(operation, answer, true)) return;
      await setTimeout(pauseMs);
    }
  }

  /**
   * Asks that replica until it acknowledges: whatever it had to settle is settled then.
   *
   * @throws {Error} when it does not within that time, in milliseconds
   */
  async probe(replica: Replica, elapsedMsMax: number): Promise<void> {
    const deadline = performance.now() + elapsedMsMax;
    for (let pauseMs = PAUSE_MS_MIN; performance.now() < deadline && !this.#journal.full; ) {
      const operation = this.#journal.begin('single');
      this.#record(operation, await this.#send(operation, replica), false);
      if (operation.outcome === 'acknowledged') return;
      await setTimeout(pauseMs);
      pauseMs = longer(pauseMs);
    }
    throw new Error(`the replica at port ${replica.port} did not come back within ${elapsedMsMax} ms`);
  }

  /** Sends an acknowledged operation again: the answer must be the same one, and say that it is. */
  async confirm(operation: Operation): Promise<void> {
    const answer = await this.#send(operation);
    if (answer.outcome === 'acknowledged') {
      const same = answer.replayed && answer.values.join() === operation.values?.join();
      if (!same)
        this.#object(
          operation,
          `sent again: ${answer.replayed ? '' : 'not '}replayed, ${answer.values.join()}`,
        );
    } else if ('unexpected' in answer) this.#object(operation, answer.unexpected);
  }

  async #one(): Promise<void> {
    let pauseMs = PAUSE_MS_MIN;
    let replica = pick(this.#random, this.#replicas);
    while (!this.#stopped && !this.#journal.full) {
      const operation = this.#journal.begin(this.#kind());
      const twin = isKeyed(operation) && this.#random() * 100 < TWINS;
      const patienceMs = this.#random() * 100 < IMPATIENT ? IMPATIENT_MS : PATIENT_MS;
      const sent = [this.#send(operation, replica, patienceMs)];
      if (twin) sent.push(this.#send(operation));
      const answers = await Promise.all(sent);
      const [best] = answers.toSorted((a, b) => ranks[a.outcome] - ranks[b.outcome]);
      if (best) this.#record(operation, best, false);
      if (answers.length === 2) this.#compare(operation, answers);
      // What nobody could say is asked again at once, while the first try may still be under way; or at the end.
      if (operation.outcome === 'unknown' && isKeyed(operation) && this.#random() < 0.5) {
        this.#record(operation, await this.#send(operation), true);
      }
      const served = operation.outcome === 'acknowledged';
      if (!served || this.#random() * STAY < 1) replica = pick(this.#random, this.#replicas);
      if (served) pauseMs = PAUSE_MS_MIN;
      else {
        await setTimeout(pauseMs * (0.5 + this.#random()));
        pauseMs = longer(pauseMs);
      }
    }
  }

  #compare(operation: Operation, answers: readonly TryResult[]): void {
    const different = new Set(answers.flatMap((answer) => ('values' in answer ? answer.values.join() : [])));
    if (different.size > 1)
      this.#object(operation, `two answers for one key: ${[...different].join(' and ')}`);
  }

  #object(operation: Operation, unexpected: string): void {
    this.#journal.end(operation, operation.outcome, { unexpected });
  }

  #send(
    operation: Operation,
    replica = pick(this.#random, this.#replicas),
    patienceMs = PATIENT_MS,
  ): Promise<TryResult> {
    const key = isKeyed(operation) ? keyOf(this.#journal.run, operation.id) : undefined;
    return this.#client.increment(replica.port, incrementsOf(operation), key, patienceMs);
  }

  /**
   * @param again whether it was sent before with an unknown outcome: then a refusal says nothing about that
   * @returns whether the outcome is known now
   */
  #record(operation: Operation, answer: TryResult, again: boolean): boolean {
    const { outcome, code: _code, ...rest } = { code: '', ...answer };
    const known = outcome === 'acknowledged' || (outcome === 'refused' && !again);
    this.#journal.end(operation, known ? outcome : 'unknown', rest);
    if (outcome !== 'acknowledged') return known;
    const now = performance.now();
    this.#acknowledged += incrementsOf(operation).length;
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
    return true;
  }

  #kind(): Kind {
    let at = this.#random() * 100;
    for (const [kind, share] of SHARES) {
      at -= share;
      if (at < 0) return kind;
    }
    return 'single';
  }
}

/** Of two tries of the same request, the one that says more: who has one acknowledgement knows that it counts. */
const ranks = { acknowledged: 0, unknown: 1, refused: 2 } as const;

const longer = (ms: number): number => Math.min(PAUSE_MS_MAX, ms * 2);
