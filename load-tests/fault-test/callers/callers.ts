import { setTimeout } from 'node:timers/promises';
import type { Journal } from '../journal/journal.ts';
import { documentOf, isKeyed, MISSING, type Operation } from '../journal/operation.ts';
import { pick, type Random } from '../world/random.ts';
import { type Exchange, longerPause, PAUSE_MS_MIN, type Target, TIMEOUT_MS } from './exchange.ts';
import type { AttemptResult } from './http-client.ts';
import { pickKind, type Traffic, traffics } from './traffic.ts';

/** The percentage of keyed requests that are sent to two replicas at the same time. Both answers must be equal. */
const DUPLICATED_PERCENT = 1;

/** The percentage of requests with a short timeout, after which the client disconnects, and that timeout in milliseconds. */
const SHORT_TIMEOUT_PERCENT = 20;
const SHORT_TIMEOUT_MS = 1000;

/** The mean number of requests that a client sends to one replica before it picks another one. */
const REQUESTS_PER_REPLICA = 100;

/** Concurrent clients, each of which sends one request after another. */
export class Callers {
  readonly #journal: Journal;
  readonly #exchange: Exchange;
  readonly #replicas: readonly Target[];
  readonly #random: Random;
  readonly #traffic = new Map<Target, Traffic>();
  readonly #inFlight = new Map<Target, number>();
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(journal: Journal, exchange: Exchange, replicas: readonly Target[], random: Random) {
    this.#journal = journal;
    this.#exchange = exchange;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** Sets the traffic of all replicas; without an argument, picks the traffic of each replica at random. */
  changeTraffic(traffic?: Traffic): void {
    for (const replica of this.#replicas) this.#traffic.set(replica, traffic ?? pick(this.#random, traffics));
  }

  /** Sets the traffic of a replica to one of these at random, unless it is one of them already. */
  ensureTraffic(replica: Target, these: readonly Traffic[]): void {
    if (!these.includes(this.#traffic.get(replica) ?? 'mixed'))
      this.#traffic.set(replica, pick(this.#random, these));
  }

  /**
   * Runs this many clients until `stop` is called or the journal is full. Resolves when no request is in flight.
   *
   * @param thinkMs the mean pause of a client after an acknowledgement, in milliseconds
   */
  async run(clients: number, thinkMs = 0): Promise<void> {
    this.#exchange.resetGap();
    this.#running = Promise.all(Array.from({ length: clients }, () => this.#runClient(thinkMs)));
    await this.#running;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Closes all connections. Resolves when every client has stopped. */
  async end(): Promise<void> {
    this.stop();
    this.#exchange.close();
    await this.#running;
  }

  async #runClient(thinkMs: number): Promise<void> {
    let pauseMs = PAUSE_MS_MIN;
    let replica = pick(this.#random, this.#replicas);
    while (!this.#stopped && !this.#journal.full) {
      const traffic = this.#traffic.get(replica) ?? 'mixed';
      const inFlight = this.#inFlight.get(replica) ?? 0;
      let acknowledged = false;
      if (traffic !== 'serial' || inFlight === 0) {
        this.#inFlight.set(replica, inFlight + 1);
        acknowledged = await this.#sendNext(replica, traffic);
        this.#inFlight.set(replica, (this.#inFlight.get(replica) ?? 1) - 1);
      }
      if (!acknowledged || this.#random() * REQUESTS_PER_REPLICA < 1)
        replica = pick(this.#random, this.#replicas);
      const waitMs = acknowledged ? thinkMs : pauseMs;
      if (waitMs > 0) await setTimeout(waitMs * (0.5 + this.#random()));
      pauseMs = acknowledged ? PAUSE_MS_MIN : longerPause(pauseMs);
    }
  }

  /** @returns whether the request was acknowledged */
  async #sendNext(replica: Target, traffic: Traffic): Promise<boolean> {
    const operation = await this.#begin(traffic);
    if (!operation) return false;
    const exchange = this.#exchange;
    const isDuplicated = isKeyed(operation) && this.#random() * 100 < DUPLICATED_PERCENT;
    const timeoutMs = this.#random() * 100 < SHORT_TIMEOUT_PERCENT ? SHORT_TIMEOUT_MS : TIMEOUT_MS;
    const sent = [exchange.send(operation, replica, timeoutMs)];
    if (isDuplicated) sent.push(exchange.send(operation));
    const answers = await Promise.all(sent);
    const [best] = answers.toSorted((a, b) => ranks[a.outcome] - ranks[b.outcome]);
    if (best) exchange.record(operation, best, false);
    if (isDuplicated) this.#compare(operation, answers);
    else if (operation.kind === 'single' && operation.outcome === 'acknowledged')
      exchange.allowExpiry(operation);
    // Half of the unknown outcomes are retried at once, when the first attempt may still be in flight; the rest at the end.
    if (operation.outcome === 'unknown' && isKeyed(operation) && this.#random() < 0.5) {
      exchange.record(operation, await exchange.send(operation), true);
    }
    return operation.outcome === 'acknowledged';
  }

  /** @returns undefined if the current state of the document, which its change depends on, could not be read */
  async #begin(traffic: Traffic): Promise<Operation | undefined> {
    const kind = pickKind(this.#random, traffic);
    if (kind !== 'put' && kind !== 'delete') return this.#journal.begin(kind);
    const state = await this.#exchange.read(documentOf(this.#journal.operations.length), SHORT_TIMEOUT_MS);
    if (state === undefined || this.#journal.full) return undefined;
    // A missing document cannot be deleted. Operations that began during the read may have moved on to the next document.
    if (state === MISSING && kind === 'delete') return undefined;
    return this.#journal.begin(kind, String(state));
  }

  #compare(operation: Operation, answers: readonly AttemptResult[]): void {
    const different = new Set(answers.flatMap((answer) => ('values' in answer ? answer.values.join() : [])));
    if (different.size > 1)
      this.#exchange.recordUnexpected(
        operation,
        `different answers for one key: ${[...different].join(' and ')}`,
      );
  }
}

/** Of two answers to the same request, the most conclusive one: one acknowledgement proves that it is counted. */
const ranks = { acknowledged: 0, unknown: 1, refused: 2 } as const;
