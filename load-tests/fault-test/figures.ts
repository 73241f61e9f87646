import type { Exchange } from './callers/exchange.ts';
import { settlements } from '../../src/counters/lane.ts';
import { noneSettled, type Replica, type Settled } from './world/replica.ts';

/** What one fault, or the time before the first one, came to besides what the journal says. */
export interface FaultFigures {
  /** What the service found out by itself meanwhile. */
  settled: Settled;
  longestGapMs: number;
}

/** Keeps an account for each fault, from its beginning to that of the next one. */
export class Figures {
  readonly all: FaultFigures[] = [];
  readonly #replicas: readonly Replica[];
  readonly #exchange: Exchange;
  #last = noneSettled();

  constructor(replicas: readonly Replica[], exchange: Exchange) {
    this.#replicas = replicas;
    this.#exchange = exchange;
  }

  /** Closes the account: what comes now belongs to the next one. */
  async next(): Promise<void> {
    const each = await Promise.all(this.#replicas.map((replica) => replica.settled()));
    const now = noneSettled();
    const settled = noneSettled();
    for (const outcome of settlements) {
      now[outcome] = each.reduce((sum, one) => sum + one[outcome], 0);
      settled[outcome] = now[outcome] - this.#last[outcome];
    }
    this.all.push({ settled, longestGapMs: this.#exchange.takeLongestGapMs() });
    this.#last = now;
  }
}
