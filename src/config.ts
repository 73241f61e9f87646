import { envSchema } from 'env-schema';
import { type Static, type TSchema, Type } from 'typebox';
import manifest from '../package.json' with { type: 'json' };
import { ADDRESS_FORM, AddressError, parseAddress } from './database/address.ts';
import { StartupError } from './errors/startup-error.ts';
import { callersOf } from './http/caller.ts';
import { trustedProxies } from './http/trusted-proxies.ts';

const timeoutMs = (default_: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 3_600_000, default: default_, description });

/** Every variable the service reads: its default, and (`description`) what is allowed and what it is for. */
const schema = Type.Object({
  DATABASE_URL: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://',
      description: `${ADDRESS_FORM} (any, read-write or primary; any if it is not given); unset: an embedded PostgreSQL 18`,
    }),
  ),
  DATABASE_REPLICA_URLS: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://[^,]+(,postgres(ql)?://[^,]+)*$',
      description: 'addresses as DATABASE_URL, comma-separated: standbys that the session lab reads from',
    }),
  ),
  REDIS_URL: Type.Optional(
    Type.String({
      pattern: '^rediss?://',
      description:
        'redis://user:password@host:port: the cache of the state lab, which needs the optional package @keyv/redis; unset: one in the process',
    }),
  ),
  DATA_DIR: Type.Optional(
    Type.String({
      description: 'the folder where the embedded PostgreSQL keeps its data; unset: .data in the checkout',
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
        'host names, comma-separated and without a port, that requests may be sent to, besides localhost and loopback addresses; unset: only those if HOST is one of them, otherwise any',
    }),
  ),
  TRUST_PROXY: Type.String({
    default: 'false',
    description:
      'false, true, or addresses and CIDR ranges, comma-separated: proxies whose X-Forwarded-For, -Host and -Proto count',
  }),
  POOL_MAX: Type.Integer({
    minimum: 4,
    maximum: 1000,
    default: 10,
    description:
      'connections to the database at most, 4 to 1000, besides six of the counters; the demos use all but two of them',
  }),
  POOL_ACQUIRE_TIMEOUT_MS: timeoutMs(5000, 'how long to wait for a free connection, 1 to 3600000'),
  LOCK_TIMEOUT_MS: timeoutMs(5000, 'how long a statement waits for a lock, 1 to 3600000'),
  STATEMENT_TIMEOUT_MS: timeoutMs(10_000, 'how long a statement runs, 1 to 3600000'),
  IDLE_IN_TRANSACTION_TIMEOUT_MS: timeoutMs(
    10_000,
    'how long a transaction stays open with nothing to do, 1 to 3600000',
  ),
  FAILOVER_TIMEOUT_MS: timeoutMs(
    45_000,
    'how long a failover of the database may take, 1 to 3600000: a start waits so long for a server that takes writes, and the outcome of a commit is asked for so long while no server answers',
  ),
  ISOLATION_LEVEL: Type.Enum(['read uncommitted', 'read committed', 'repeatable read', 'serializable'], {
    default: 'read committed',
    description:
      'what transactions get unless they ask for another level: read uncommitted, read committed, repeatable read or serializable',
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
    description: 'increments that wait for their batch at most, 1 to 1000000; more are refused at once',
  }),
  API_TOKEN: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9._~+/-]{16,512}=*$',
      description:
        'what a request that changes something must bring (Authorization: Bearer …): 16 to 512 letters, digits or ._~+/-; unset: none',
    }),
  ),
  API_TOKENS_FILE: Type.Optional(
    Type.String({
      description:
        'a JSON file of tokens, each with a prefix that the counters it may change begin with, and increments a second: [{"name", "sha256", "prefix", "perSecond"}, …]; they count besides API_TOKEN; unset: none',
    }),
  ),
  DEMO_RATE_LIMIT: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 1200,
    description:
      'requests to the demonstrations that one address may send in a minute, 0 to 1000000 (0: any number)',
  }),
  DEMOS: Type.Boolean({ default: true, description: 'true or false: whether the demonstrations are served' }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'fatal, error, warn, info, debug, trace or silent',
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

/** What the service is and what it reads, for a terminal. */
export const usage = `safe-counters ${manifest.version}: ${manifest.description}

npm start serves the page, the API and its documentation (/docs). It takes these variables (and their defaults) from
the environment, or from a file .env in the working directory:

${variables
  .map(({ name, default: value, description }) => {
    return `  ${name}${value === undefined ? '' : ` (${value})`}\n      ${description}`;
  })
  .join('\n')}

SIGTERM or SIGINT ends it: what is in flight is answered, and everything is closed.`;

/**
 * Reads and validates the environment. An empty variable counts as unset, as docker-compose passes it.
 *
 * @throws {StartupError} one line for each bad variable: its name, its value, what is allowed
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
        return `${name} is ${shown(name, given[name])}${reason ? ` (${reason})` : ''}; allowed: ${description}`;
      });
    throw new StartupError(lines.join('\n'), { cause: error });
  }
}

/** As the validator reports it; `reason`: what the description does not say. */
interface Invalid {
  instancePath: string;
  reason?: string;
}

const invalid = (name: string, reason?: string) =>
  Object.assign(new Error(name), { errors: [{ instancePath: `/${name}`, reason }] });

/** @param addresses those of several databases are separated by commas, so each of them names one host */
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

/** A value as an error message may show it: an address can hold a password, so only its beginning is shown. */
function shown(name: string, value = ''): string {
  if (name === 'API_TOKEN') return `${value.length} characters long, or has others`;
  return name.includes('_URL') ? `"${value.slice(0, value.indexOf('//') + 2)}…"` : JSON.stringify(value);
}
