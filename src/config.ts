import { envSchema } from 'env-schema';
import { type Static, type TSchema, Type } from 'typebox';
import manifest from '../package.json' with { type: 'json' };
import { ADDRESS_FORM, AddressError, parseAddress } from './database/address.ts';
import { SCHEMA_PATTERN } from './database/schema.ts';
import { StartupError } from './errors/startup-error.ts';
import { callersOf } from './http/caller.ts';
import { trustedProxies } from './http/trusted-proxies.ts';

const timeoutMs = (default_: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 3_600_000, default: default_, description });

/** Every variable that the service reads: its default, and (`description`) its meaning and allowed values. */
const schema = Type.Object({
  DATABASE_URL: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://',
      description: `${ADDRESS_FORM} (any, read-write or primary; default any); unset: an embedded PostgreSQL 18`,
    }),
  ),
  DATABASE_SCHEMA: Type.String({
    pattern: SCHEMA_PATTERN,
    default: 'safe_counters',
    description:
      'the schema of the tables of the counters, 1 to 57 characters from a to z, 0 to 9 and _, without a digit at the beginning, and not public; those of the demonstrations are in a schema with the same name and _demos',
  }),
  MIGRATE: Type.Boolean({
    default: true,
    description:
      'true or false: whether the start creates the tables, or brings them up to date; false: `npm run migrate` does, with a role that may',
  }),
  DATABASE_REPLICA_URLS: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://[^,]+(,postgres(ql)?://[^,]+)*$',
      description:
        'standbys that the session laboratory reads from: addresses of the form postgresql://user:password@host:port/database, comma-separated; an experiment pauses the replay of the first one for a moment',
    }),
  ),
  REDIS_URL: Type.Optional(
    Type.String({
      pattern: '^rediss?://',
      description:
        'the cache of the state laboratory, redis://user:password@host:port; it needs the optional package @keyv/redis; unset: a cache in the process',
    }),
  ),
  DATA_DIR: Type.Optional(
    Type.String({
      description:
        'the data folder of the embedded PostgreSQL; unset: .data in the checkout, or, if only root may enter the checkout, a folder below /var/lib/safe-counters',
    }),
  ),
  HOST: Type.String({ default: '127.0.0.1', description: 'the address to listen on' }),
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65_535,
    default: 3000,
    description: 'the port to listen on, 0 to 65535 (0: any free one)',
  }),
  ALLOWED_HOSTS: Type.Optional(
    Type.String({
      pattern: '^(NAME)( *, *(NAME))*$'.replaceAll('NAME', '\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+'),
      description:
        'host names that are accepted in the Host header, comma-separated and without a port, in addition to localhost and loopback addresses; unset: only those if HOST is a loopback address, otherwise any',
    }),
  ),
  TRUST_PROXY: Type.String({
    default: 'false',
    description:
      'false, true, or addresses and CIDR ranges, comma-separated: the proxies (true: all) whose X-Forwarded-For, -Host and -Proto are trusted',
  }),
  POOL_MAX: Type.Integer({
    minimum: 4,
    maximum: 1000,
    default: 10,
    description:
      'the size of the connection pool of the demonstrations, 4 to 1000, which use all but two of its connections; the counters have ten of their own',
  }),
  POOL_ACQUIRE_TIMEOUT_MS: timeoutMs(
    5000,
    'how long a request waits for a free connection, in milliseconds, 1 to 3600000',
  ),
  LOCK_TIMEOUT_MS: timeoutMs(
    5000,
    'how long a statement waits for a lock before it is refused, in milliseconds, 1 to 3600000',
  ),
  STATEMENT_TIMEOUT_MS: timeoutMs(10_000, 'how long a statement may run, in milliseconds, 1 to 3600000'),
  IDLE_IN_TRANSACTION_TIMEOUT_MS: timeoutMs(
    10_000,
    'how long a transaction may stay open without a statement, in milliseconds, 1 to 3600000',
  ),
  FAILOVER_TIMEOUT_MS: timeoutMs(
    45_000,
    'how long a failover of the database may take, in milliseconds, 1 to 3600000: for this time a starting service waits while servers answer but none accepts writes, and a running one tries to find out whether a commit was applied',
  ),
  ISOLATION_LEVEL: Type.Enum(['read uncommitted', 'read committed', 'repeatable read', 'serializable'], {
    default: 'read committed',
    description:
      'the isolation level of transactions that do not set one, except for those of counters, which are read committed: read uncommitted, read committed, repeatable read or serializable',
  }),
  IDEMPOTENCY_KEY_HOURS: Type.Integer({
    minimum: 1,
    maximum: 8760,
    default: 24,
    description: 'how long an idempotency key is kept, in hours, 1 to 8760',
  }),
  COUNTER_QUEUE_MAX: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 4096,
    description:
      'the maximum number of requests that wait for their batch, 1 to 1000000; further ones are refused at once; every five increments of a bulk count as one request',
  }),
  API_TOKEN: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9._~+/-]{16,512}=*$',
      description:
        'the token that every request that changes something must send (Authorization: Bearer …), 16 to 512 letters, digits or ._~+/-; unset: none is required',
    }),
  ),
  API_TOKENS_FILE: Type.Optional(
    Type.String({
      description:
        'a JSON file with a token for each application, the prefix of the counters that it may change, and its quota in increments a second: [{"name", "sha256", "prefix", "perSecond"}, …]; valid in addition to API_TOKEN; unset: none',
    }),
  ),
  DEMO_RATE_LIMIT: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 1200,
    description:
      'how many requests to the demonstrations one address may send in a minute, 0 to 1000000 (0: any number)',
  }),
  DEMOS: Type.Boolean({
    default: true,
    description: 'true or false: whether the page and the demonstrations are served',
  }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'the lowest level that is logged: fatal, error, warn, info, debug, trace or silent',
  }),
  SQL_DEBUG: Type.Boolean({
    default: false,
    description: 'true or false: whether every SQL statement is logged, at level info',
  }),
});

export type Config = Readonly<Static<typeof schema>>;

/** Name, default and description of every variable, in order: the README's table is checked against it. */
export const variables = Object.entries(schema.properties as Record<string, TSchema>).map(
  ([name, property]) => {
    const { default: default_, description } = property as {
      default?: string | number | boolean;
      description: string;
    };
    return { name, default: default_, description };
  },
);

/** The text of --help. */
export const usage = `safe-counters ${manifest.version}: ${manifest.description}

npm start serves the page, the API and its documentation (/docs). It reads these variables from the environment, or
from a file .env in the working directory; defaults are in parentheses:

${variables
  .map(({ name, default: value, description }) => {
    return `  ${name}${value === undefined ? '' : ` (${value})`}\n      ${description}`;
  })
  .join('\n')}

After SIGTERM or SIGINT it answers the requests in flight and ends.`;

/**
 * Reads and validates the environment. An empty variable counts as unset, since Docker Compose passes unset variables
 * as empty ones.
 *
 * @throws {StartupError} with one line for each invalid variable: its name, its value, and what is allowed
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const data: Record<string, string> = {};
  for (const { name } of variables) {
    const value = env[name]?.trim();
    if (value) data[name] = name === 'ISOLATION_LEVEL' ? value.toLowerCase() : value;
  }
  const given = { ...data };
  try {
    const config = envSchema<Static<typeof schema>>({ schema, data, env: false });
    for (const name of ['DATABASE_URL', 'DATABASE_REPLICA_URLS'] as const) checkAddresses(name, config[name]);
    if (trustedProxies(config.TRUST_PROXY) === undefined) throw invalid('TRUST_PROXY');
    checkTokens(config);
    return Object.freeze(config);
  } catch (error) {
    const bad = new Map(
      ((error as { errors?: Invalid[] }).errors ?? []).map((e) => [e.instancePath.slice(1), e.reason]),
    );
    if (bad.size === 0) throw error;
    const lines = variables
      .filter(({ name }) => bad.has(name))
      .map(({ name, description }) => {
        const reason = bad.get(name);
        return `${name} is ${printable(name, given[name])}${reason ? ` (${reason})` : ''}; allowed: ${description}`;
      });
    throw new StartupError(lines.join('\n'), { cause: error });
  }
}

/** An error of the validator; `reason` adds what the description does not contain. */
interface Invalid {
  instancePath: string;
  reason?: string;
}

const invalid = (name: string, reason?: string) =>
  Object.assign(new Error(name), { errors: [{ instancePath: `/${name}`, reason }] });

/** @param addresses one address; in DATABASE_REPLICA_URLS several, comma-separated, each with a single host */
function checkAddresses(name: 'DATABASE_URL' | 'DATABASE_REPLICA_URLS', addresses = ''): void {
  const all = name === 'DATABASE_URL' ? [addresses] : addresses.split(',');
  try {
    for (const address of all.filter(Boolean)) parseAddress(address);
  } catch (error) {
    throw error instanceof AddressError ? invalid(name, error.message) : error;
  }
}

function checkTokens(config: Config): void {
  try {
    callersOf(config);
  } catch (error) {
    throw error instanceof StartupError ? invalid('API_TOKENS_FILE', error.message) : error;
  }
}

/** A value for an error message: without tokens, and without the part of an address that can contain a password. */
function printable(name: string, value = ''): string {
  if (name === 'API_TOKEN') return `not valid (its ${value.length} characters are not shown)`;
  return name.includes('_URL') ? `"${value.slice(0, value.indexOf('//') + 2)}…"` : JSON.stringify(value);
}
