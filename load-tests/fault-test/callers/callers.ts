import { setTimeout } from 'node:timers/promises';
import type { Journal } from '../journal/journal.ts';
import { documentOf, isKeyed, MISSING, type Operation } from '../journal/operation.ts';
import { pick, type Random } from '../world/random.ts';
import { type Exchange, longer, PATIENT_MS, PAUSE_MS_MIN, type Target } from './exchange.ts';
import type { TryResult } from './http-client.ts';
import { pickKind, type Traffic, traffics } from './traffic.ts';

/** Of 100 keyed requests, those sent to two replicas at once: both must give the same answer, and it counts once. */
const TWINS = 1;

/** Of 100 requests, those whose client disconnects early; in milliseconds, how early. */
const IMPATIENT = 20;
const IMPATIENT_MS = 1000;

/** A client stays with its replica for so many requests on average, or until that does not serve it. */
const STAY = 100;

/** Clients that ask for increments, one after another. */
export class Callers {
  readonly #journal: Journal;
  readonly #exchange: Exchange;
  readonly #replicas: readonly Target[];
  readonly #random: Random;
  readonly #traffic = new Map<Target, Traffic>();
  readonly #busy = new Map<Target, number>();
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(journal: Journal, exchange: Exchange, replicas: readonly Target[], random: Random) {
    this.#journal = journal;
    this.#exchange = exchange;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** From now on each replica is sent something else, at random, or all of them this. */
  change(traffic?: Traffic): void {
    for (const replica of this.#replicas) this.#traffic.set(replica, traffic ?? pick(this.#random, traffics));
  }

  /**
   * Runs so many clients until `stop`, or until the journal is full. Resolves when all have their answers.
   *
   * @param thinkMs how long each waits after an acknowledgement before it asks again, in milliseconds
   */
  async run(clients: number, thinkMs = 0): Promise<void> {
    this.#exchange.begin();
    this.#running = Promise.all(Array.from({ length: clients }, () => this.#one(thinkMs)));
    await this.#running;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Hangs up. Resolves when no client asks for anything any more. */
  async end(): Promise<void> {
    this.stop();
    this.#exchange.close();
    await this.#running;
  }

  async #one(thinkMs: number): Promise<void> {
    let pauseMs = PAUSE_MS_MIN;
    let replica = pick(this.#random, this.#replicas);
    while (!this.#stopped && !this.#journal.full) {
      const traffic = this.#traffic.get(replica) ?? 'mixed';
      const busy = this.#busy.get(replica) ?? 0;
      let served = false;
      if (traffic !== 'lone' || busy === 0) {
        this.#busy.set(replica, busy + 1);
        served = await this.#ask(replica, traffic);
        this.#busy.set(replica, (this.#busy.get(replica) ?? 1) - 1);
      }
      if (!served || this.#random() * STAY < 1) replica = pick(this.#random, this.#replicas);
      const waitMs = served ? thinkMs : pauseMs;
      if (waitMs > 0) await setTimeout(waitMs * (0.5 + this.#random()));
      pauseMs = served ? PAUSE_MS_MIN : longer(pauseMs);
    }
  }

  /** @returns whether it was acknowledged */
  async #ask(replica: Target, traffic: Traffic): Promise<boolean> {
    const operation = await this.#begin(traffic);
    if (!operation) return false;
    const exchange = this.#exchange;
    const twin = isKeyed(operation) && this.#random() * 100 < TWINS;
    const patienceMs = this.#random() * 100 < IMPATIENT ? IMPATIENT_MS : PATIENT_MS;
    const sent = [exchange.send(operation, replica, patienceMs)];
    if (twin) sent.push(exchange.send(operation));
    const answers = await Promise.all(sent);
    const [best] = answers.toSorted((a, b) => ranks[a.outcome] - ranks[b.outcome]);
    if (best) exchange.record(operation, best, false);
    if (twin) this.#compare(operation, answers);
    else if (operation.kind === 'single' && operation.outcome === 'acknowledged') exchange.finish(operation);
    // An unknown outcome is asked for at once, while the first try may still be under way; or at the end.
    if (operation.outcome === 'unknown' && isKeyed(operation) && this.#random() < 0.5) {
      exchange.record(operation, await exchange.send(operation), true);
    }
    return operation.outcome === 'acknowledged';
  }

  /** @returns undefined when it cannot be said what it is meant for */
  async #begin(traffic: Traffic): Promise<Operation | undefined> {
    const kind = pickKind(this.#random, traffic);
    if (kind !== 'put' && kind !== 'delete') return this.#journal.begin(kind);
    const state = await this.#exchange.read(documentOf(this.#journal.operations.length), IMPATIENT_MS);
    if (state === undefined || this.#journal.full) return undefined;
    // What is not there cannot be deleted; one that began meanwhile may be about the next document already.
    if (state === MISSING && kind === 'delete') return undefined;
    return this.#journal.begin(kind, String(state));
  }

  #compare(operation: Operation, answers: readonly TryResult[]): void {
    const different = new Set(answers.flatMap((answer) => ('values' in answer ? answer.values.join() : [])));
    if (different.size > 1)
      this.#exchange.object(operation, `two answers for one key: ${[...different].join(' and ')}`);
  }
}

/** Of two tries of the same request, the one that says more: after one acknowledgement it is known to count. */
const ranks = { acknowledged: 0, unknown: 1, refused: 2 } as const;
