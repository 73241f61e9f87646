/** A race of every strategy, one after another, with the most workers: it goes on for longer than it is needed. */
const RACE = '/races/stream?workers=64&increments=150';

/** A race that is under way in the service. */
export class RunningRace {
  readonly #url: string;
  readonly #hangUp = new AbortController();
  #reading: Promise<void> | undefined;
  /** Increments of the strategies that are done, and of the one that is under way. */
  #before = 0;
  #attempted = 0;

  private constructor(url: string) {
    this.#url = url;
  }

  /** Resolves when its first increments are done. */
  static async start(url: string): Promise<RunningRace> {
    const race = new RunningRace(url);
    const begun = Promise.withResolvers<void>();
    race.#reading = race.#read(begun.resolve).catch(begun.reject);
    await begun.promise;
    return race;
  }

  /** Increments that it has done. */
  get increments(): number {
    return this.#before + this.#attempted;
  }

  /** Hangs up, and waits until the service has stopped it: the next race has its turn then. */
  async stop(): Promise<void> {
    this.#hangUp.abort();
    await this.#reading;
    const body = JSON.stringify({ strategies: ['atomic'], workers: 1, increments: 1 });
    const headers = { 'content-type': 'application/json' };
    const next = await fetch(`${this.#url}/races`, { method: 'POST', headers, body });
    if (!next.ok) throw new Error(`a race: ${next.status} ${await next.text()}`);
  }

  async #read(begun: () => void): Promise<void> {
    const { signal } = this.#hangUp;
    try {
      const response = await fetch(`${this.#url}${RACE}`, { signal });
      if (!response.ok) throw new Error(`a race: ${response.status} ${await response.text()}`);
      for await (const chunk of response.body ?? []) {
        for (const [, text] of Buffer.from(chunk)
          .toString()
          .matchAll(/"attempted":(\d+)/g)) {
          const attempted = Number(text);
          if (attempted < this.#attempted) this.#before += this.#attempted;
          this.#attempted = attempted;
          if (attempted > 0) begun();
        }
      }
      throw new Error('the race was over too soon');
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
