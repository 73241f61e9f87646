import { callbackify } from 'node:util';
import { Client, type ClientConfig } from 'pg';
import { codeOf, reasonOf } from '../errors/caught.ts';
import { type DatabaseAddress, parseAddress, serversOf, type Target } from './address.ts';
import { ConnectionError, isReadOnly } from './failure.ts';

/** The options with which connections are opened, for the driver's Pool or for `newClient`. */
export interface Driver {
  connectionString: string;
  Client: typeof Client;
  /** The settings of sessions that the address asks for (`?options=`), to which others can be added. */
  options?: string;
}

/** The time limit for connecting, in milliseconds. Without it, the driver would wait forever. */
const CONNECT_MS_MAX = 5000;

/**
 * The options with which every connection of the service is opened. The driver supports a single host. If an address has
 * several hosts, or requires a server that accepts writes, each new connection first asks all hosts which one to use.
 *
 * @throws {AddressError} when the address cannot be read
 */
export function driverFor(databaseUrl: string): Driver {
  const address = parseAddress(databaseUrl);
  const [first, ...others] = address.urls;
  const plain = others.length === 0 && address.target === 'any';
  const { connectionString, options } = withoutOptions(first);
  return {
    connectionString,
    Client: plain ? Client : seekingClient(new Servers(address)),
    ...(options === undefined ? {} : { options }),
  };
}

/** The driver prefers the parameters of an address to its options: so `options` is taken out of the address. */
function withoutOptions(url: string): { connectionString: string; options?: string } {
  const [path = '', query = ''] = url.split('?');
  const options = new URLSearchParams(query).get('options');
  if (options === null) return { connectionString: url };
  const rest = query.split('&').filter((pair) => !pair.startsWith('options='));
  return { connectionString: rest.length > 0 ? `${path}?${rest.join('&')}` : path, options };
}

/** A separate connection, outside any pool; not connected yet. */
export function newClient(databaseUrl: string, config: ClientConfig): Client {
  const { Client: ClientClass, ...driver } = driverFor(databaseUrl);
  return new ClientClass({ ...driver, ...config, connectionString: driver.connectionString });
}

/** The driver's client, extended to select the server when it connects. */
function seekingClient(servers: Servers): typeof Client {
  return class extends Client {
    readonly #connectMsMax: number;
    readonly #ssl: ClientConfig['ssl'];
    #ended = false;

    constructor(config: ClientConfig = {}) {
      super(config);
      this.#connectMsMax = config.connectionTimeoutMillis || CONNECT_MS_MAX;
      this.#ssl = config.ssl;
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
      const { host, port } = await servers.find(this.#connectMsMax, this.#ssl);
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

/** The servers of an address. Finds the one to connect to. */
class Servers {
  readonly #address: DatabaseAddress;
  #asked: Promise<Place> | undefined;

  constructor(address: DatabaseAddress) {
    this.#address = address;
  }

  /**
   * Asks all servers at the same time, so that a server that does not answer causes no delay. Calls that arrive meanwhile
   * share the result. It is not cached afterwards, because it would be wrong after a failover.
   *
   * @param connectMsMax the time limit for connecting, including this search, in milliseconds
   * @param ssl how to encrypt the connections, as the driver's option; parameters of the address override it
   * @throws {ConnectionError} `read_only` when servers answer but none is suitable, `unavailable` when none answers
   */
  find(connectMsMax: number, ssl: ClientConfig['ssl']): Promise<Place> {
    this.#asked ??= this.#ask({ connectionTimeoutMillis: connectMsMax / 3, ssl }).finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  async #ask(config: Asking): Promise<Place> {
    const { urls, target } = this.#address;
    const answers = urls.map((url) => ask(url, target, config));
    try {
      // With `any`, the order of the hosts matters; otherwise only one server is suitable.
      return await (target === 'any' ? firstInOrder(answers) : Promise.any(answers));
    } catch (error) {
      throw this.#noneFound(error as AggregateError);
    }
  }

  #noneFound({ errors }: AggregateError): ConnectionError {
    const servers = serversOf(this.#address);
    const reasons = errors.map((error, i) => `${servers[i]} (${reasonOf(error)})`).join(', ');
    const wanted = { any: 'accepts connections', 'read-write': 'accepts writes', primary: 'is a primary' };
    const failure = errors.some(maySoonBeSuitable) ? 'read_only' : 'unavailable';
    return new ConnectionError(failure, `no server ${wanted[this.#address.target]}: ${reasons}`);
  }
}

/** A standby, or a server that is starting (57P03): it may become suitable in a moment. */
const maySoonBeSuitable = (error: unknown): boolean => isReadOnly(error) || codeOf(error) === '57P03';

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

/** The queries of libpq. Source: its function PQconnectPoll. */
const REFUSES: Record<Exclude<Target, 'any'>, string> = {
  'read-write': `select current_setting('transaction_read_only') = 'on' as refuses`,
  primary: 'select pg_catalog.pg_is_in_recovery() as refuses',
};

/** How a server is asked. The time limit is that of connecting, and again that of the query, in milliseconds. */
type Asking = Pick<ClientConfig, 'connectionTimeoutMillis' | 'ssl'>;

/**
 * @throws {ConnectionError} `read_only` when the server is not suitable
 * @throws the error of connecting
 */
async function ask(url: string, target: Target, config: Asking): Promise<Place> {
  const client = new Client({
    ...config,
    connectionString: url,
    query_timeout: config.connectionTimeoutMillis,
    application_name: 'safe-counters: which server',
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { host, port } = client;
    if (target === 'any') return { host, port };
    const { rows } = await client.query<{ refuses: boolean }>(REFUSES[target]);
    if (rows[0]?.refuses) throw new ConnectionError('read_only', 'it is a standby, or read-only');
    return { host, port };
  } finally {
    // Not awaited: a server that has stopped answering does not answer this either.
    client.end().catch(() => {});
  }
}
