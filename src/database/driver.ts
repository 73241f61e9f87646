import { callbackify } from 'node:util';
import { Client, type ClientConfig } from 'pg';
import { codeOf, reasonOf } from '../errors/caught.ts';
import { type DatabaseAddress, parseAddress, serversOf, type Target } from './address.ts';
import { ConnectionError, isReadOnly } from './failure.ts';

/** How connections to a database are opened: both are for the driver's Pool, or for `newClient`. */
export interface Driver {
  connectionString: string;
  Client: typeof Client;
}

/** The driver's own waits for ever. */
const CONNECT_MS_MAX = 5000;

/**
 * What every connection of the service is opened with. The driver knows one host; where an address names several, or asks
 * for a server that takes writes, each new connection asks them all which one it is to go to.
 *
 * @throws {AddressError} when the address cannot be read
 */
export function driverFor(databaseUrl: string): Driver {
  const address = parseAddress(databaseUrl);
  const [connectionString, ...others] = address.urls;
  const plain = others.length === 0 && address.target === 'any';
  return { connectionString, Client: plain ? Client : seekingClient(new Servers(address)) };
}

/** A connection of its own, outside of any pool; not connected yet. */
export function newClient(databaseUrl: string, config: ClientConfig): Client {
  const { connectionString, Client: Opened } = driverFor(databaseUrl);
  return new Opened({ ...config, connectionString });
}

/** The driver's client, which finds out where to connect to when it connects. */
function seekingClient(servers: Servers): typeof Client {
  return class extends Client {
    readonly #connectMsMax: number;
    #ended = false;

    constructor(config: ClientConfig = {}) {
      super(config);
      this.#connectMsMax = config.connectionTimeoutMillis || CONNECT_MS_MAX;
    }

    override connect(): Promise<Client>;
    override connect(callback: (error: Error) => void): void;
    override connect(callback?: (error: Error) => void): Promise<Client> | void {
      if (!callback) return this.#connect();
      callbackify(() => this.#connect())(callback);
    }

    override end(): Promise<void>;
    override end(callback: (error: Error) => void): void;
    override end(callback?: (error: Error) => void): Promise<void> | void {
      this.#ended = true;
      return callback ? super.end(callback) : super.end();
    }

    async #connect(): Promise<Client> {
      const { host, port } = await servers.find(this.#connectMsMax);
      if (this.#ended) throw new Error('the connection was closed while it was opened');
      this.host = host;
      this.port = port;
      return super.connect();
    }
  };
}

interface Place {
  host: string;
  port: number;
}

/** The servers of an address, and which of them is the one to connect to at this moment. */
class Servers {
  readonly #address: DatabaseAddress;
  #asked: Promise<Place> | undefined;

  constructor(address: DatabaseAddress) {
    this.#address = address;
  }

  /**
   * Asks all at the same time, so that one that does not answer keeps none of the others waiting. Callers that come
   * meanwhile share the answer, and later ones ask again: an answer that is remembered is wrong after a failover.
   *
   * @param connectMsMax how long a connection may take, in milliseconds, this question included
   * @throws {ConnectionError} `read_only` when servers answer and none is such a one, `unavailable` when none answers
   */
  find(connectMsMax: number): Promise<Place> {
    this.#asked ??= this.#ask(connectMsMax).finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  async #ask(connectMsMax: number): Promise<Place> {
    const { urls, target } = this.#address;
    const answers = urls.map((url) => ask(url, target, connectMsMax / 3));
    try {
      // With `any`, the order is the caller's wish; otherwise there is one that it can be.
      return await (target === 'any' ? firstInOrder(answers) : Promise.any(answers));
    } catch (error) {
      throw this.#none(error as AggregateError);
    }
  }

  #none({ errors }: AggregateError): ConnectionError {
    const servers = serversOf(this.#address);
    const reasons = errors.map((error, i) => `${servers[i]} (${reasonOf(error)})`).join(', ');
    const wanted = { any: 'can be connected to', 'read-write': 'takes writes', primary: 'is a primary' };
    const failure = errors.some(mayComeSoon) ? 'read_only' : 'unavailable';
    return new ConnectionError(failure, `no server ${wanted[this.#address.target]}: ${reasons}`);
  }
}

/** A standby, or a server that is starting up (57P03): the one that is wanted may be among them in a moment. */
const mayComeSoon = (error: unknown): boolean => isReadOnly(error) || codeOf(error) === '57P03';

async function firstInOrder<T>(answers: readonly Promise<T>[]): Promise<T> {
  for (const answer of answers) answer.catch(() => {});
  const errors: unknown[] = [];
  for (const answer of answers) {
    try {
      return await answer;
    } catch (error) {
      errors.push(error);
    }
  }
  throw new AggregateError(errors);
}

/** As libpq finds it out: source, its function PQconnectPoll. */
const REFUSES: Record<Exclude<Target, 'any'>, string> = {
  'read-write': `select current_setting('transaction_read_only') = 'on' as refuses`,
  primary: 'select pg_catalog.pg_is_in_recovery() as refuses',
};

/**
 * @param msMax for connecting, and again for the question
 * @throws {ConnectionError} `read_only` when it is not such a server
 * @throws whatever connecting threw
 */
async function ask(url: string, target: Target, msMax: number): Promise<Place> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: msMax,
    query_timeout: msMax,
    application_name: 'safe-counters: which server',
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { host, port } = client;
    if (target === 'any') return { host, port };
    const { rows } = await client.query<{ refuses: boolean }>(REFUSES[target]);
    if (rows[0]?.refuses) throw new ConnectionError('read_only', 'it is read-only, as a standby is');
    return { host, port };
  } finally {
    // Not waited for: a server that has stopped answering does not say goodbye either.
    client.end().catch(() => {});
  }
}
