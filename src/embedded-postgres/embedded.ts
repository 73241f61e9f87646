import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { removeLeftovers, unusable } from './data-folder.ts';
import { type Home, findHome } from './home.ts';
import {
  clusterOwner,
  createCluster,
  freePort,
  runningServer,
  startServer,
  stopServer,
  SUPERUSER,
} from './server.ts';

export interface EmbeddedServer {
  databaseUrl: string;
  /** Stops the server; committed data stays in the data folder. */
  stop: () => Promise<void>;
}

export interface EmbeddedLog {
  info: (message: string) => void;
  warn: (message: string) => void;
}

const DATABASE = 'safe_counters';

/** The most attempts to start, or to connect to a server that another process is starting. */
const STARTS_MAX = 50;

/** An arbitrary number: the holder of this advisory lock owns the data folder. */
const OWNER_LOCK = 4_157_112_104;

/**
 * Starts an embedded PostgreSQL on a data folder, or takes over one that a killed service left running there. While the
 * service runs, a server that dies is started again.
 *
 * @param dataDir the folder; undefined: a default one
 * @param connectionsMax how many connections the service will open
 * @param signal aborted when the server is no longer needed before it is up: then none is left running
 * @throws {StartupError} when there is no PostgreSQL for this platform, the folder cannot be used, or another
 *   service is using it
 */
export async function startEmbedded(
  dataDir: string | undefined,
  connectionsMax: number,
  log: EmbeddedLog,
  signal?: AbortSignal,
): Promise<EmbeddedServer> {
  const home = await findHome(dataDir);
  const password = await prepare(home, log, signal).catch(async (error: unknown) => {
    throw await unusable(home.folder, error);
  });
  const keeper = new Keeper(home, password, connectionsMax, log);
  await holdUnlessAborted(signal, keeper);
  return {
    databaseUrl: `postgresql://${SUPERUSER}:${password}@127.0.0.1:${keeper.port}/${DATABASE}`,
    stop: () => keeper.release(),
  };
}

/** @throws the signal's reason when it is aborted; no server of this process is left running then */
async function holdUnlessAborted(signal: AbortSignal | undefined, keeper: Keeper): Promise<void> {
  signal?.throwIfAborted();
  let abandoned: Promise<void> | undefined;
  const abandon = () => {
    abandoned = keeper.abandon();
  };
  signal?.addEventListener('abort', abandon);
  try {
    await keeper.hold();
    // The server was started before it could be stopped.
    if (signal?.aborted) await keeper.release();
  } finally {
    signal?.removeEventListener('abort', abandon);
    await abandoned;
  }
  signal?.throwIfAborted();
}

/** Creates the cluster if it is missing; returns its password. */
async function prepare(home: Home, log: EmbeddedLog, signal?: AbortSignal): Promise<string> {
  await removeLeftovers(home.folder);
  const password = await readPassword(home);
  if (!(await clusterOwner(home.cluster))) {
    log.info(`creating a database in ${home.folder}`);
    await createCluster(home, home.cluster, password, signal);
  }
  return password;
}

/** Keeps the server running, and owns the data folder. */
class Keeper {
  readonly #home: Home;
  readonly #password: string;
  readonly #connectionsMax: number;
  readonly #log: EmbeddedLog;
  #owner: Client | undefined;
  /** Aborted when the server is no longer needed. */
  readonly #released = new AbortController();
  /** Whether this process has started, or is starting, the server: otherwise it may be another service's. */
  #started = false;
  /** The restart in progress. */
  #restarting: Promise<void> | undefined;
  port = 0;

  constructor(home: Home, password: string, connectionsMax: number, log: EmbeddedLog) {
    this.#home = home;
    this.#password = password;
    this.#connectionsMax = connectionsMax;
    this.#log = log;
  }

  /** Makes sure that a server runs, that we own the folder, and that the database exists. */
  async hold(): Promise<void> {
    const client = await this.#own();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
    this.#owner = client;
    client.on('end', () => {
      this.#restarting = this.#restart();
    });
  }

  /** Ends a `hold` in progress, even while the server recovers from a crash, which can take long. */
  async abandon(): Promise<void> {
    this.#released.abort();
    if (this.#started) await stopServer(this.#home, this.#home.cluster).catch(() => {});
  }

  async release(): Promise<void> {
    this.#released.abort();
    await this.#restarting;
    // The lock is kept until the server has stopped, so that the next service waits until then.
    await stopServer(this.#home, this.#home.cluster).catch((error: unknown) => {
      this.#log.warn(`the embedded PostgreSQL did not stop; the next start will use it: ${messageOf(error)}`);
    });
    await this.#owner?.end();
  }

  /** Opens a connection that owns the folder. Retries, since the previous service may stop the server at this moment. */
  async #own(): Promise<Client> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await this.#connect();
      try {
        await this.#lock(client);
        return client;
      } catch (error) {
        if (error instanceof StartupError || attempt === 5) throw error;
      }
    }
  }

  /** Connects to the running server, or starts one. Retries while another process is starting the server. */
  async #connect(): Promise<Client> {
    const { cluster, logFile } = this.#home;
    for (let attempt = 1; ; attempt += 1) {
      const running = await runningServer(cluster);
      const client = running && (await this.#connectTo(running.port));
      if (client) return client;
      if (this.#released.signal.aborted) throw new StartupError('the service is closing');
      // A server that died gets the same port again, since the pool uses it.
      const port = this.port || (await freePort());
      try {
        // In addition to the service's connections: those of the laboratories, and of external clients such as psql.
        const settings = { max_connections: String(this.#connectionsMax + 60) };
        this.#started = true;
        await startServer(this.#home, cluster, { port, logFile, settings });
      } catch (error) {
        this.#started = false;
        // A server that another process has just started may not answer yet.
        if (attempt === STARTS_MAX || !(await runningServer(cluster))) throw error;
        await setTimeout(100);
      }
    }
  }

  /** @returns undefined if no server answers, or it refuses our password: then the pid file is a leftover */
  async #connectTo(port: number): Promise<Client | undefined> {
    for (let attempt = 1; attempt <= 600; attempt += 1) {
      const client = new Client({
        host: '127.0.0.1',
        port,
        user: SUPERUSER,
        password: this.#password,
        database: 'postgres',
        application_name: `safe-counters, process ${process.pid}`,
        connectionTimeoutMillis: 2000,
        keepAlive: true,
      });
      client.on('error', () => {});
      try {
        await client.connect();
        this.port = port;
        return client;
      } catch (error) {
        // 57P03: the server is starting, or still recovering from a crash.
        if (codeOf(error) !== '57P03') return undefined;
        await setTimeout(100);
      }
    }
    return undefined;
  }

  /** Retries, since a service that was just killed holds the lock until its backend notices. */
  async #lock(client: Client): Promise<void> {
    for (let attempt = 1; attempt <= 20; attempt += 1) {
      const { rows } = await client.query<{ locked: boolean }>(
        `select pg_try_advisory_lock(${OWNER_LOCK}) as locked`,
      );
      if (rows[0]?.locked) return;
      await setTimeout(50);
    }
    const { rows } = await client.query<{ owner: string }>(
      `select application_name as owner from pg_stat_activity
       where pid in (select pid from pg_locks where locktype = 'advisory' and objid = ${OWNER_LOCK} and granted)`,
    );
    await client.end();
    throw new StartupError(
      `the data folder ${this.#home.folder} is in use by another service (${rows[0]?.owner ?? 'unknown'}); ` +
        'stop that service first, or set DATA_DIR to another folder',
    );
  }

  async #restart(): Promise<void> {
    const { signal } = this.#released;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      this.#log.warn('the embedded PostgreSQL has ended unexpectedly; starting it again');
      try {
        return await this.hold();
      } catch (error) {
        this.#log.warn(`the embedded PostgreSQL could not be started; trying again: ${messageOf(error)}`);
        await setTimeout(Math.min(5000, 100 * 2 ** attempt), undefined, { signal }).catch(() => {});
      }
    }
  }
}

async function readPassword({ folder }: Home): Promise<string> {
  const file = join(folder, 'password');
  const known = await readFile(file, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  if (known) return known;
  // Linked only when it is complete, so that a service that starts at the same time never reads half a password.
  const unfinished = `${file}.new-${process.pid}`;
  await writeFile(unfinished, randomBytes(24).toString('base64url'), { mode: 0o600 });
  try {
    await link(unfinished, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(unfinished);
  }
  return readFile(file, 'utf8');
}
