import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import type { Timeline } from './timeline.ts';

/** A pool as MikroORM sees it that tells a timeline which backend did what, for whom. */
export class RecordedPool implements PostgresPool {
  readonly #pool: PostgresPool;
  readonly #name: string;
  readonly #timeline: Timeline;
  /** Kysely keeps what it knows of a connection by identity, so each is wrapped once. */
  readonly #recorded = new WeakMap<PostgresPoolClient, PostgresPoolClient>();

  constructor(pool: PostgresPool, name: string, timeline: Timeline) {
    this.#pool = pool;
    this.#name = name;
    this.#timeline = timeline;
  }

  get options(): object {
    return this.#pool.options;
  }

  async connect(): Promise<PostgresPoolClient> {
    const client = await this.#pool.connect();
    const known = this.#recorded.get(client);
    if (known) return known;
    const recorded = this.#record(client);
    this.#recorded.set(client, recorded);
    return recorded;
  }

  end(): Promise<void> {
    return this.#pool.end();
  }

  #record(client: PostgresPoolClient): PostgresPoolClient {
    const send = async <R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> => {
      const pending = this.#timeline.sent(this.#name, client.processID ?? 0, sql);
      try {
        const result = await client.query<R>(sql, parameters);
        this.#timeline.answered(pending, result);
        return result;
      } catch (error) {
        this.#timeline.failed(pending, error);
        throw error;
      }
    };
    // A backend does one thing at a time. The driver would queue too, but then nobody could tell when a statement
    // was really sent.
    let last: Promise<unknown> = Promise.resolve();
    const query = <R>(sql: string, parameters: readonly unknown[]) => {
      const turn = last.then(() => send<R>(sql, parameters));
      last = turn.catch(() => {});
      return turn;
    };
    return {
      ...(client.processID === undefined ? {} : { processID: client.processID }),
      query: query as PostgresPoolClient['query'],
      release: () => client.release(),
    };
  }
}
