import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { driverFor } from '../../src/database/driver.ts';
import { failureOf } from '../../src/database/failure.ts';
import type { PreparedStatement } from '../../src/database/guarded-connection.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import type { Send, Sessions } from '../../src/database/sessions.ts';
import { silent, testClient, testDatabase, until } from '../helper.ts';

/** Sessions of one connection, as those of the counters. */
function sessionsAt(t: Test, databaseUrl: string): Sessions {
  const config = { ...loadConfig({}), POOL_MAX: 1 };
  const sessions = openCounterSessions(driverFor(databaseUrl), { config, log: silent });
  t.teardown(() => sessions.end());
  return sessions;
}

const sql = (text: string, ...values: unknown[]): PreparedStatement => ({ name: '', text, values });
const named = (name: string, text: string, ...values: unknown[]): PreparedStatement => ({
  name,
  text,
  values,
});
const BEGIN = sql('begin');
const COMMIT = sql('commit');
const insert = (value: number) => named('insert', 'insert into public.likes values ($1::integer)', value);

/** Sessions and a table in which a commit with the value 60 takes a minute. */
async function likes(t: Test) {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  await client.query(`
    create table likes (value integer not null);
    create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(new.value); return null; end';
    create constraint trigger slow after insert on likes deferrable initially deferred
      for each row when (new.value = 60) execute function slow()`);
  const sessions = sessionsAt(t, databaseUrl);
  const values = async () =>
    (await client.query<{ value: number }>('select value from likes')).rows.map(({ value }) => value);
  const pid = async () =>
    (await sessions.query<{ pid: number }>(sql('select pg_backend_pid() as pid'))).rows[0]?.pid;
  return { sessions, client, values, pid };
}

/** Terminates the only backend of the sessions while it executes something. */
async function terminate(client: Client, state: string): Promise<void> {
  await until(
    async () =>
      (
        await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and ${state}`,
        )
      ).rowCount === 1,
  );
}

t.test('a transaction that is not committed is rolled back, and its connection returns clean', async (t) => {
  const { sessions, values, pid } = await likes(t);
  const before = await pid();
  const ends: Record<string, (send: Send) => Promise<unknown>> = {
    'its work throws': async () => Promise.reject(new Error('mine')),
    'its work returns': async () => 'done',
    'a statement is refused': (send) => send([sql('select 1 / $1::integer', 0)]),
    'a statement is refused together with others': (send) =>
      send([insert(2), sql('select 1 / $1::integer', 0), insert(3), COMMIT]),
  };
  for (const [what, end] of Object.entries(ends)) {
    const error = await sessions
      .transaction(async (send) => {
        await send([BEGIN, insert(1)]);
        await end(send);
      })
      .catch((caught: unknown) => caught);
    t.match(error, what === 'its work returns' ? undefined : { message: /^(mine|division by zero)$/ }, what);
    t.same(await values(), [], what);
    t.equal(await pid(), before, `${what}: the connection was kept`);
    const { rows } = await sessions.query(
      sql(`select transaction_timestamp() = statement_timestamp() as outside`),
    );
    t.strictSame(rows, [{ outside: true }], what);
  }
  await sessions.transaction((send) => send([BEGIN, insert(7), COMMIT]));
  t.same(await values(), [7]);
});

t.test(
  'when the connection breaks before the commit, the transaction is lost, and nothing is applied',
  async (t) => {
    const { sessions, client, values } = await likes(t);
    const breaks: [string, (send: Send) => Promise<unknown>, string][] = [
      [
        'while it is idle',
        async (send) => {
          await terminate(client, `state = 'idle in transaction'`);
          return send([insert(2)]);
        },
        '',
      ],
      ['in a statement', (send) => send([insert(2), sql('select pg_sleep($1)', 60)]), `query like '%sleep%'`],
    ];
    for (const [what, work, state] of breaks) {
      const ended = sessions
        .transaction(async (send) => {
          await send([BEGIN, insert(1)]);
          return work(send);
        })
        .then(() => 'applied', failureOf);
      if (state) await terminate(client, state);
      t.equal(await ended, 'lost', what);
      t.same(await values(), []);
      t.equal(sessions.load.total, 0, 'the connection leaves the pool');
    }
    await sessions.transaction((send) => send([BEGIN, insert(3), COMMIT]));
    t.same(await values(), [3]);
  },
);

t.test('when the connection breaks at the commit, the outcome is unknown', async (t) => {
  const { sessions, client, values } = await likes(t);
  const ended = sessions
    .transaction(async (send) => {
      await send([BEGIN, insert(1)]);
      return send([insert(60), COMMIT]);
    })
    .then(() => 'applied', failureOf);
  await terminate(client, `query = 'commit' and wait_event = 'PgSleep'`);
  t.equal(await ended, 'unknown');
  t.same(await values(), []);
});

t.test('a commit that is answered with a rollback is an error', async (t) => {
  const { sessions, values } = await likes(t);
  const work = sessions.transaction(async (send) => {
    await send([BEGIN, insert(1)]);
    await send([sql('select 1 / $1::integer', 0)]).catch(() => {});
    return send([COMMIT]);
  });
  await t.rejects(work, { message: 'the commit was answered with a rollback' });
  t.same(await values(), []);
});

t.test(
  'a transaction whose prepared statement a pooler has lost is lost, and the next one needs none',
  async (t) => {
    const { sessions, values } = await likes(t);
    const add = (value: number) => sessions.transaction((send) => send([BEGIN, insert(value), COMMIT]));
    await add(1);
    await sessions.query(sql('deallocate all'));
    await t.rejects(add(2), {
      failure: 'lost',
      message: 'a statement was not prepared',
      cause: { code: '26000' },
    });
    await add(3);
    t.same(await values(), [1, 3]);
    t.strictSame((await sessions.query(sql('select name from pg_prepared_statements'))).rows, []);
  },
);

/** A message of the server. Source: PostgreSQL documentation, 53.7 "Message Formats". */
function message(type: string, body: string): Buffer {
  const bytes = Buffer.from(`${type}0000${body}`, 'latin1');
  bytes.writeInt32BE(bytes.length - 1, 1);
  return bytes;
}

const READY = message('Z', 'I');
const IN_TRANSACTION = message('Z', 'T');

/** The types of the messages of a client. */
function typesOf(bytes: Buffer): string {
  let types = '';
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    types += String.fromCharCode(bytes[at] as number);
  return types;
}

t.test(
  'the statements of a transaction are sent together; after an error, the next one waits for its end',
  async (t) => {
    const received: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(Buffer.concat([message('R', '\0\0\0\0'), READY]));
        socket.once('data', (together: Buffer) => {
          received.push(typesOf(together));
          const refused = message('E', 'SERROR\0C22012\0Mdivision by zero\0\0');
          socket.write(Buffer.concat([message('C', 'BEGIN\0'), IN_TRANSACTION, refused]));
          socket.once('data', (next: Buffer) => {
            received.push(typesOf(next));
            socket.end();
          });
          // Long enough for a statement that does not wait.
          setTimeout(() => {
            received.push('end of the error');
            socket.write(message('Z', 'E'));
          }, 100);
        });
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.teardown(() => server.close());
    const sessions = sessionsAt(
      t,
      `postgresql://me:secret@127.0.0.1:${(server.address() as AddressInfo).port}/db`,
    );
    await t.rejects(
      sessions.transaction((send) => send([BEGIN, sql('select 1 / $1::integer', 0)])),
      { code: '22012' },
    );
    // Query; Parse, Bind, Describe, Execute and Sync; and the rollback.
    t.strictSame(received, ['QPBDES', 'end of the error', 'Q']);
  },
);
