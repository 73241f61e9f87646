import type { Exchange } from './callers/exchange.ts';
import { settlements } from '../../src/counters/lane.ts';
import { noSettlements, type Replica, type Settled } from './world/replica.ts';

/** Figures of one fault, or of the time before the first one, that the journal does not contain. */
export interface FaultFigures {
  /** The outcomes of lost commits that the service determined. */
  settled: Settled;
  /** The longest time without an acknowledgement, in milliseconds. */
  longestGapMs: number;
}

/** Collects the figures of each fault, from its start to the start of the next one. */
export class Figures {
  readonly all: FaultFigures[] = [];
  readonly #replicas: readonly Replica[];
  readonly #exchange: Exchange;
  #last = noSettlements();

  constructor(replicas: readonly Replica[], exchange: Exchange) {
    this.#replicas = replicas;
    this.#exchange = exchange;
  }

  /** Ends the current entry: what follows belongs to the next fault. */
  async endEntry(): Promise<void> {
    const each = await Promise.all(this.#replicas.map((replica) => replica.settled()));
    const now = noSettlements();
    const settled = noSettlements();
    for (const outcome of settlements) {
      now[outcome] = each.reduce((sum, one) => sum + one[outcome], 0);
      settled[outcome] = now[outcome] - this.#last[outcome];
    }
    this.all.push({ settled, longestGapMs: this.#exchange.takeLongestGapMs() });
    this.#last = now;
  }
}
