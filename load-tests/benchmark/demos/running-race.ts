/** A race of every strategy with the most workers: it takes longer than any turn. */
const RACE = '/races/stream?workers=64&increments=150';

/** A race that is running in the service. */
export class RunningRace {
  readonly #url: string;
  readonly #disconnect = new AbortController();
  #reading: Promise<void> | undefined;
  /** The attempted increments of the finished strategies, and of the running one. */
  #finished = 0;
  #running = 0;

  private constructor(url: string) {
    this.#url = url;
  }

  /** Resolves after the race's first increments. */
  static async start(url: string): Promise<RunningRace> {
    const race = new RunningRace(url);
    const begun = Promise.withResolvers<void>();
    race.#reading = race.#read(begun.resolve).catch(begun.reject);
    await begun.promise;
    return race;
  }

  /** The race's increments so far. */
  get increments(): number {
    return this.#finished + this.#running;
  }

  /** Disconnects, and waits until the service has stopped the race, so that the next one can start. */
  async stop(): Promise<void> {
    this.#disconnect.abort();
    await this.#reading;
    const body = JSON.stringify({ strategies: ['atomic'], workers: 1, increments: 1 });
    const headers = { 'content-type': 'application/json' };
    const next = await fetch(`${this.#url}/races`, { method: 'POST', headers, body });
    if (!next.ok) throw new Error(`a race: ${next.status} ${await next.text()}`);
  }

  async #read(begun: () => void): Promise<void> {
    const { signal } = this.#disconnect;
    try {
      const response = await fetch(`${this.#url}${RACE}`, { signal });
      if (!response.ok) throw new Error(`a race: ${response.status} ${await response.text()}`);
      for await (const chunk of response.body ?? []) {
        for (const [, text] of Buffer.from(chunk)
          .toString()
          .matchAll(/"attempted":(\d+)/g)) {
          const attempted = Number(text);
          // The number starts at 0 again with each strategy.
          if (attempted < this.#running) this.#finished += this.#running;
          this.#running = attempted;
          if (attempted > 0) begun();
        }
      }
      throw new Error('the race ended before the measurement did');
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
