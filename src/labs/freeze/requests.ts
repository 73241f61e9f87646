import type { MikroORM } from '@mikro-orm/postgresql';
import type { PoolClient } from 'pg';
import { failureOf } from '../../database/failure.ts';
import { ending } from '../bench/outcome.ts';
import type { PostClass } from '../bench/post-table.ts';
import type { Scratch, ScratchPool } from '../bench/scratch.ts';

/** The outcome of a request, as its caller sees it: `busy` is 503. */
interface RequestEnd {
  request: string;
  end: string;
  /** The kind of failure. */
  failure?: string;
  took_ms: number;
}

/** Simulates requests to a service with a small pool. */
export class Requests {
  readonly #scratch: Scratch;
  readonly #orm: MikroORM;
  readonly #Post: PostClass;
  readonly #pool: ScratchPool['pool'];

  constructor(scratch: Scratch, { pool, sessions }: ScratchPool, Post: PostClass) {
    this.#scratch = scratch;
    this.#pool = pool;
    this.#Post = Post;
    this.#orm = scratch.ormOver(sessions, [Post]);
  }

  /** The current state of the pool: open connections, free ones among them, and requests that wait for one. */
  get pool() {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { connections: totalCount, free: idleCount, waiting: waitingCount };
  }

  /** Opens all connections of the pool, so that later timings do not include connecting. */
  async connect(): Promise<void> {
    const clients: PoolClient[] = [];
    while (clients.length < (this.#pool.options.max ?? 0)) {
      this.#scratch.context.signal.throwIfAborted();
      await this.#pool.connect().then(
        (client) => clients.push(client),
        () => {},
      );
    }
    for (const client of clients) client.release();
  }

  like(name: string, pk = 1): Promise<RequestEnd> {
    return this.run(name, () => this.#orm.em.fork().nativeUpdate(this.#Post, pk, { like: 1 }));
  }

  read(name: string, pk: number): Promise<RequestEnd> {
    return this.run(name, () => this.#orm.em.fork().findOneOrFail(this.#Post, pk));
  }

  execute(name: string, sql: string): Promise<RequestEnd> {
    return this.run(name, () => this.#orm.em.fork().execute(sql));
  }

  /** Writes a post in a transaction, which then stays open until `event` resolves. */
  async abandon(name: string, event: Promise<void>): Promise<{ end: Promise<RequestEnd> }> {
    const written = Promise.withResolvers<void>();
    const end = this.run(name, () =>
      this.#orm.em.fork().transactional(async (tx) => {
        await tx.nativeUpdate(this.#Post, 1, { like: 1 });
        written.resolve();
        await event;
      }),
    );
    await Promise.race([written.promise, end]);
    // In an object, since `await` would unwrap a bare promise.
    return { end };
  }

  async run(request: string, work: () => Promise<unknown>): Promise<RequestEnd> {
    const startedAt = performance.now();
    const [end] = await Promise.allSettled([this.#scratch.timeline.as(request, work)]);
    const failure = end.status === 'rejected' ? failureOf(end.reason) : undefined;
    const tookMs = Math.round(performance.now() - startedAt);
    return { request, end: ending(end), ...(failure ? { failure } : {}), took_ms: tookMs };
  }
}
