import { percentiles, type Seen } from './load.ts';

/** Counts answers and records latencies; the time starts with its creation. */
export class Tally {
  readonly startedAt = performance.now();
  readonly #endsAt: number;
  readonly #cpu = process.cpuUsage();
  readonly #answers: Record<string, number> = {};
  readonly #served: number[] = [];
  readonly #refused: number[] = [];
  readonly #lags: number[] = [];
  #inTime = 0;
  #arrived = 0;
  #dropped = 0;

  /** @param ms how long requests are sent, in milliseconds */
  constructor(ms: number) {
    this.#endsAt = this.startedAt + ms;
  }

  get endsAt(): number {
    return this.#endsAt;
  }

  /** @param intendedAt the intended start of the request: a wait for a free connection counts as latency */
  answered(status: number, intendedAt: number): void {
    const now = performance.now();
    this.#answers[status] = (this.#answers[status] ?? 0) + 1;
    if (status === 200 && now <= this.#endsAt) this.#inTime += 1;
    if (status === 200) this.#served.push(now - intendedAt);
    else if (status === 503) this.#refused.push(now - intendedAt);
  }

  arrived(lateMs: number): void {
    this.#arrived += 1;
    this.#lags.push(lateMs);
  }

  dropped(): void {
    this.#dropped += 1;
  }

  seen(): Seen {
    const { user, system } = process.cpuUsage(this.#cpu);
    const answers = Object.values(this.#answers).reduce((sum, count) => sum + count, 0);
    return {
      answers: this.#answers,
      perSecond: (this.#inTime / (this.#endsAt - this.startedAt)) * 1000,
      arrived: this.#arrived,
      dropped: this.#dropped,
      served: percentiles(this.#served),
      refused: percentiles(this.#refused),
      lag: percentiles(this.#lags),
      cpuUs: (user + system) / Math.max(1, answers),
    };
  }
}
