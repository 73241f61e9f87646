import t from 'tap';
import { Pool } from 'pg';
import { type CountersOptions, createCounters } from '../../src/library/index.ts';
import { freePort } from '../../src/embedded-postgres/server.ts';
import { silent, testClient, testDatabase } from '../helper.ts';

const open = (options: unknown) => createCounters(options as CountersOptions);

/** Nothing connects to it: an option that is not valid is refused before that. */
const connectionString = 'postgresql://me:hunter2@127.0.0.1:1/db';
const OWN = /give connectionString, or connection \(options of a pool of pg\)$/;

/** What is given, and how the message begins or ends. */
const refused: [string, unknown, RegExp][] = [
  ['no argument', undefined, OWN],
  ['null', null, OWN],
  ['an address', connectionString, OWN],
  [
    'no option',
    {},
    /^one of connectionString and connection has to be given; .*open connections of their own/,
  ],
  ['both', { connectionString, connection: {} }, /^one of connectionString and connection has to be given/],
  ['pool', { pool: new Pool() }, OWN],
  [
    'pool beside an address',
    { connectionString, pool: new Pool() },
    /^there is no option pool: .*of their own/,
  ],
  ['orm', { orm: {} }, OWN],
  [
    'an unknown name',
    { connectionstring: connectionString },
    /^there is no option connectionstring; allowed: connectionString, connection, schema, warn, keyHours, queueMax, lockedMsMax, settleMsMax$/,
  ],
  ['a name of Object', { connectionString, toString: 1 }, /^there is no option toString; allowed: /],
  ['an address that is no text', { connectionString: 5 }, /^connectionString is number; allowed: an address/],
  [
    'an empty address',
    { connectionString: '' },
    /^connectionString is not valid: it does not have the allowed/,
  ],
  [
    'another database',
    { connectionString: 'mysql://me:hunter2@host/db' },
    /^connectionString is not valid: it does not have the allowed form/,
  ],
  [
    'a password that is not encoded',
    { connectionString: 'postgresql://me:hunter2/@host/db' },
    /^connectionString is not valid: .*percent-encode/,
  ],
  [
    'a bad port',
    { connectionString: 'postgresql://me:hunter2@host:99999/db' },
    /^connectionString is not valid: the port of host 1 is not a whole number from 1 to 65535/,
  ],
  [
    'a bad target',
    { connectionString: 'postgresql://me:hunter2@host/db?target_session_attrs=any-standby' },
    /^connectionString is not valid: target_session_attrs is "any-standby", not one of any, read-write, primary$/,
  ],
  ['connection that is text', { connection: connectionString }, /^connection is not valid; allowed: /],
  ['connection null', { connection: null }, /^connection is not valid; allowed: /],
  ['connection that is a pool', { connection: new Pool() }, /^connection is not valid; allowed: /],
  [
    'a bad address in connection',
    { connection: { connectionString: 'postgresql://me:hunter2@one,,two/db' } },
    /^connectionString is not valid: host 2 is empty/,
  ],
  [
    'a password beside an address',
    { connection: { connectionString: 'postgresql://me@host/db', password: () => 'hunter2' } },
    /^connection has password and connectionString, beside which pg ignores it/,
  ],
  ...[9, 0, -1, 10.5, Number.NaN, '10', null].map((max): [string, unknown, RegExp] => [
    `max ${max}`,
    { connection: { max } },
    new RegExp(
      `^connection.max is ${max}; the counters need 10 connections: leave it out, or give at least that$`,
    ),
  ]),
  ...[
    'Counters',
    'a;b',
    'public',
    'pg_counters',
    'information_schema',
    '',
    '1a',
    'x'.repeat(58),
    5,
    null,
  ].map((schema): [string, unknown, RegExp] => [
    `schema ${schema}`,
    { connectionString, schema },
    /^schema is (".*"|5|null); allowed: 1 to 57 characters from a to z, 0 to 9 and _/,
  ]),
  ['warn', { connectionString, warn: 'log' }, /^warn is string; allowed: a function$/],
  ...['keyHours', 'queueMax', 'lockedMsMax', 'settleMsMax'].flatMap((limit) =>
    [0, -1, 0.5, Number.NaN, '5', 2 ** 31, null].map((value): [string, unknown, RegExp] => [
      `${limit} ${value}`,
      { connectionString, [limit]: value },
      new RegExp(`^${limit} is ${value}; allowed: whole numbers from 1 to 2147483647$`),
    ]),
  ),
];

t.test('an option that is not valid is refused in one sentence, without a password', async (t) => {
  for (const [what, options, message] of refused) {
    const error: unknown = await open(options).catch((reason: unknown) => reason);
    t.ok(error instanceof TypeError, what);
    t.match((error as Error).message, message, what);
    t.notMatch((error as Error).message, /hunter2|\n|\. [A-Z]/, what);
  }
});

/** Of a database, each of its parts. */
function partsOf(address: string) {
  const { hostname: host, port, username: user, password, pathname } = new URL(address);
  return { host, port: Number(port), user, password, database: pathname.slice(1) };
}

t.test(
  'connection is passed to pg: a password that is a function is called for each connection',
  async (t) => {
    const { password, ...parts } = partsOf(await testDatabase(t));
    let calls = 0;
    const given = async () => {
      calls += 1;
      return password;
    };
    const likes = await createCounters({ connection: { ...parts, password: given }, warn: silent.warn });
    t.teardown(() => likes.close());
    t.match(await likes.increment('likes'), { value: 1 });
    t.ok(calls > 1, `${calls} calls`);
  },
);

t.test('connection is passed to pg: its options for TLS hold for one host and for several', async (t) => {
  const address = await testDatabase(t);
  const ssl = { rejectUnauthorized: false };
  // Like most servers for tests, this one has no certificate.
  const message = /The server does not support SSL connections/;
  await t.rejects(createCounters({ connection: { ...partsOf(address), ssl } }), { message });
  const { port } = new URL(address);
  for (const target of ['any', 'read-write']) {
    const several = address.replace(`:${port}/`, `:${port},127.0.0.1:${port}/`);
    const connection = { connectionString: `${several}?target_session_attrs=${target}`, ssl };
    await t.rejects(createCounters({ connection }), { message }, target);
  }
});

t.test('of several hosts, the counters use the one that target_session_attrs asks for', async (t) => {
  const address = await testDatabase(t);
  const readOnly = await testDatabase(t);
  const administrator = await testClient(t, address);
  await administrator.query(
    `alter database ${partsOf(readOnly).database} set default_transaction_read_only = on`,
  );
  const { port } = new URL(address);
  const closed = await freePort();
  const several = (url: string) => url.replace(`:${port}/`, `:${closed},127.0.0.1:${port}/`);
  const writable = `${several(address)}?target_session_attrs=read-write`;
  const options: CountersOptions[] = [
    { connectionString: writable },
    { connection: { connectionString: writable, max: 12 } },
  ];
  for (const [i, one] of options.entries()) {
    const likes = await createCounters({ ...one, warn: silent.warn });
    t.teardown(() => likes.close());
    t.match(await likes.increment('likes'), { value: i + 1 });
  }
  await t.rejects(
    createCounters({ connectionString: `${several(readOnly)}?target_session_attrs=read-write` }),
    {
      message:
        /^no server accepts writes: 127.0.0.1:\d+ \(connect ECONNREFUSED.*, .*it is a standby, or read-only/,
    },
  );
});

t.test('an error of connecting has its reason, also for a host name with several addresses', async (t) => {
  const address = await testDatabase(t);
  const parts = partsOf(address);
  for (const [given, error] of [
    [
      { ...parts, password: 'wrong' },
      { code: '28P01', message: /password authentication failed/ },
    ],
    [
      { ...parts, database: 'missing' },
      { code: '3D000', message: 'database "missing" does not exist' },
    ],
    [
      { ...parts, port: await freePort() },
      { code: 'ECONNREFUSED', message: /connect ECONNREFUSED 127/ },
    ],
    [{ ...parts, host: 'nowhere.invalid' }, { message: /ENOTFOUND|EAI_AGAIN/ }],
    [
      { ...parts, user: 'missing' },
      { code: /^28/, message: /authentication failed|does not exist/ },
    ],
  ] as const)
    await t.rejects(createCounters({ connection: given }), error);
  class Client {
    on() {}
    async connect() {
      throw new AggregateError([new Error('connect ECONNREFUSED ::1:5432'), new Error('another')]);
    }
    async end() {}
  }
  const connection = { ...parts, Client } as object;
  await t.rejects(createCounters({ connection }), { message: 'connect ECONNREFUSED ::1:5432' });
});
