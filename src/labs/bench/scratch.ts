import { randomBytes } from 'node:crypto';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import { PostgresDialect, type PostgresPool } from 'kysely';
import { type Client, escapeIdentifier, Pool } from 'pg';
import { parseAddress } from '../../database/address.ts';
import { isServerError } from '../../database/connection-loss.ts';
import { ConnectionError } from '../../database/failure.ts';
import { Sessions } from '../../database/sessions.ts';
import { Observer } from './observer.ts';
import { type LabContext, type PoolSettings, sessionOptions } from './session-options.ts';
import { Timeline } from './timeline.ts';

/** How long to wait for terminated backends, in milliseconds. */
const END_MS_MAX = 5000;

/** A separate pool: the driver's, and the same with the interface that MikroORM needs. */
export interface ScratchPool {
  pool: Pool;
  sessions: Sessions;
}

/** The schema of one run of an experiment, and everything that was opened on it. */
export class Scratch {
  /** Also the prefix of its backends' application names. */
  readonly schema = `lab_${randomBytes(6).toString('hex')}`;
  readonly timeline = new Timeline();
  readonly context: LabContext;
  /** Reads and prepares the tables; its statements are not on the timeline. */
  readonly outside: Client;
  readonly observer: Observer;
  readonly #closers: (() => Promise<unknown>)[] = [];
  #closed = false;
  #instances = 0;

  constructor(context: LabContext) {
    this.context = context;
    this.outside = this.#newClient('outside', {});
    this.observer = new Observer(this.outside, this.schema, this.timeline);
  }

  /**
   * Opens a session on its own backend.
   *
   * @throws {ConnectionError} when it cannot be opened
   */
  async connect(name: string, settings: PoolSettings = {}): Promise<Client> {
    const client = this.#newClient(name, settings);
    this.atEnd(() => client.end());
    await connect(client);
    return client;
  }

  /** Opens a small pool, separate from the service's. */
  pool(settings: PoolSettings = {}): ScratchPool {
    const { name = 'pool' } = settings;
    const pool = new Pool(sessionOptions(this.context, this.schema, name, settings));
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    const sessions = new Sessions(pool, { observe: this.timeline.observe(name) });
    this.atEnd(async () => {
      // Not awaited: it waits for connections that are checked out, and abandoned ones are never returned.
      if (!pool.ended) void pool.end();
    });
    return { pool, sessions };
  }

  /** MikroORM with its own pool. The entity classes must not be shared with another instance (see `newPostClass`). */
  orm(entities: Options['entities'], settings: PoolSettings = {}, options: Options = {}): MikroORM {
    return this.ormOver(this.pool(settings).sessions, entities, options);
  }

  ormOver(pool: PostgresPool, entities: Options['entities'], options: Options = {}): MikroORM {
    this.#instances += 1;
    return new MikroORM({
      // With equal names, each instance would resolve to the other's EntityManager inside the other's transaction.
      contextName: `${this.schema} ${this.#instances}`,
      clientUrl: parseAddress(this.context.databaseUrl).urls[0],
      entities: entities ?? [],
      driverOptions: () => new PostgresDialect({ pool }),
      useBatchUpdates: false,
      ensureDatabase: false,
      logger: () => {},
      colors: false,
      ...options,
    });
  }

  /**
   * Registers what must be done when the experiment ends, also after an abort. The last one registered runs first, so
   * that it can use a session that was opened before.
   */
  atEnd(close: () => Promise<unknown>): void {
    if (this.#closed) throw new Error('the experiment is over');
    this.#closers.push(close);
  }

  /**
   * Connects. If that fails, there is nothing to close.
   *
   * @throws {ConnectionError} when the server cannot be reached
   */
  open(): Promise<void> {
    return connect(this.outside);
  }

  /** Creates the schema and runs the setup in it. */
  async setUp(setup: string): Promise<void> {
    await sweep(this.outside);
    await this.outside.query(`create schema ${this.schema}`);
    if (setup) await this.outside.query(setup);
  }

  /**
   * Ends every session of the run, including waiting and abandoned ones, and drops the schema.
   *
   * @throws {ConnectionError} `lost` when the connection broke; a later experiment then drops the schema
   */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      for (const closer of this.#closers.splice(0).toReversed()) await closer();
      await this.#endBackends().catch(() => {
        // The engine lacks these functions: its sessions end with their connections.
      });
      await this.outside.query(`drop schema if exists ${this.schema} cascade`);
    } catch (error) {
      if (isServerError(error)) throw error;
      throw new ConnectionError('lost', 'the connection to the database broke', error);
    } finally {
      await this.outside.end();
    }
  }

  #newClient(name: string, settings: PoolSettings): Client {
    const options = sessionOptions(this.context, this.schema, name, settings);
    const client = new options.Client(options);
    client.on('error', () => {});
    return client;
  }

  /** Terminates the backends: one whose client has disconnected would keep waiting for its lock. */
  async #endBackends(): Promise<void> {
    await this.outside.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where starts_with(application_name, $1) and pid <> pg_backend_pid()`,
      [this.schema],
    );
    const deadline = performance.now() + END_MS_MAX;
    await this.observer.until((backends) => backends.length === 0 || performance.now() > deadline);
  }
}

async function connect(client: Client): Promise<void> {
  try {
    await client.connect();
  } catch (error) {
    if (error instanceof ConnectionError) throw error;
    throw new ConnectionError('unavailable', 'cannot connect to the database', error);
  }
}

/**
 * Runs `work` with a temporary schema, and always removes the schema and its sessions afterwards.
 *
 * @param setup SQL that creates the tables
 * @throws {ConnectionError} when the server cannot be reached
 * @throws what `work` throws; the signal's reason when it is aborted
 */
export async function withScratch<T>(
  context: LabContext,
  setup: string,
  work: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  const scratch = new Scratch(context);
  await scratch.open();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(context.signal.reason);
  context.signal.addEventListener('abort', abort, { once: true });
  aborted.promise.catch(() => {});
  try {
    context.signal.throwIfAborted();
    await scratch.setUp(setup);
    const working = work(scratch);
    // After an abort, the work fails because its connections are closed, and no caller waits for it.
    working.catch(() => {});
    return await Promise.race([working, aborted.promise]);
  } finally {
    context.signal.removeEventListener('abort', abort);
    await scratch.close();
  }
}

/** Drops the schemas of experiments whose process was killed: no backend carries their name any more. */
async function sweep(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select nspname as name from pg_namespace
     where nspname ~ '^lab_[0-9a-f]{12}$' and pg_get_userbyid(nspowner) = current_user
       and not exists (select from pg_stat_activity where starts_with(application_name, nspname))`,
  );
  // Another process may be dropping the same schema.
  for (const { name } of rows) await client.query(`drop schema if exists ${escapeIdentifier(name)} cascade`);
}
