/** Rows after which the statistics are first refreshed; then whenever as many rows have been written as before. */
const ROWS_MIN = 1000;

/** The interval at which autovacuum looks at the tables, in milliseconds: the default of `autovacuum_naptime`. */
const NAPTIME_MS = 60_000;

/**
 * Refreshes the planner's statistics while the tables grow fast. PostgreSQL keeps the plan of a prepared statement until
 * the statistics change. A plan that was made for an almost empty table scans all of it, and autovacuum looks at it only
 * once a minute: in that time, a batch with keys took 50 times as long.
 */
export class Statistics {
  readonly #refresh: () => Promise<void>;
  #rows = 0;
  #refreshAt = ROWS_MIN;
  #refreshing = false;
  #periodStart = performance.now();
  #rowsOfPeriod = 0;

  /** @param refresh refreshes the statistics; an error is ignored, because autovacuum does the same later */
  constructor(refresh: () => Promise<void>) {
    this.#refresh = refresh;
  }

  /** To be called after a batch: it may have created so many rows. */
  wrote(rows: number): void {
    this.#startPeriod(performance.now());
    this.#rows += rows;
    this.#rowsOfPeriod += rows;
    if (this.#rows < this.#refreshAt || this.#refreshing) return;
    this.#refreshAt = 2 * this.#rows;
    this.#refreshing = true;
    void this.#refresh()
      .catch(() => {})
      .finally(() => {
        this.#refreshing = false;
      });
  }

  /** After a quiet minute, the tables may be almost empty again. */
  #startPeriod(now: number): void {
    if (now - this.#periodStart < NAPTIME_MS) return;
    if (this.#rowsOfPeriod < ROWS_MIN) {
      this.#rows = 0;
      this.#refreshAt = ROWS_MIN;
    }
    this.#periodStart = now;
    this.#rowsOfPeriod = 0;
  }
}
