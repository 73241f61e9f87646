import { Client } from 'pg';
import t, { type Test } from 'tap';
import { Proxy } from '../../load-tests/fault-test/network/proxy.ts';
import { type Caught, doing, type Trap, type Wanted } from '../../load-tests/fault-test/network/trap.ts';
import { compose } from '../../src/counters/batch.ts';
import { decide } from '../../src/counters/decide.ts';
import { pendingOf } from '../../src/counters/request.ts';
import { CounterStore } from '../../src/counters/store.ts';
import type { PreparedStatement } from '../../src/database/guarded-connection.ts';
import { testClient, testDatabase, until } from '../helper.ts';
import { slow } from '../pace.ts';

const WRITER = '00000000-0000-4000-8000-000000000001';

/** An increment of the counter `a`. */
const increment = (by = 1, key?: string, max?: number) =>
  pendingOf({ increments: [{ name: 'a', by, max }], key });

async function setUp(t: Test) {
  const databaseUrl = await testDatabase(t);
  const proxy = new Proxy(Number(new URL(databaseUrl).port));
  await proxy.listen();
  t.teardown(() => proxy.close());
  const through = databaseUrl.replace(/:\d+\//, `:${proxy.port}/`);
  const direct = await testClient(t, databaseUrl);
  const value = async () => {
    const { rows } = await direct.query<{ value: string }>(
      `select value from safe_counters.counters where name = 'a'`,
    );
    return Number(rows[0]?.value ?? 0);
  };
  const connect = async () => {
    const options = {
      connectionString: through,
      query_timeout: slow(500),
      connectionTimeoutMillis: slow(500),
      pipeline: true,
    };
    const client = new Client(options);
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const trap = (kind: Trap, wanted?: Wanted): Promise<Caught> =>
    proxy.trap(kind, new AbortController().signal, wanted);
  await storeOn(direct).register(WRITER);
  let seq = 0;
  const next = () => ({ writer: WRITER, seq: (seq += 1) });
  /** Writes a plain batch as the service does: prepared, and sent by its name alone from the second time on. */
  const write = (client: Client, one = increment()) => storeOn(client).write(compose([one]), next());
  /** Writes a batch in a transaction, as the service does. */
  const transact = (client: Client, one = increment()) =>
    storeOn(client).decide([one], next(), (world) => decide([one], world));
  return { proxy, connect, value, trap, direct, write, transact };
}

/** The service's store on a connection, without the service's handling of failures. */
function storeOn(client: Client): CounterStore {
  const send = ({ name, text, values }: PreparedStatement) =>
    client.query(values.length === 0 ? { text } : { name, text, values: [...values] });
  return new CounterStore(
    {
      query: (statement) => send(statement) as never,
      transaction: (work) =>
        work(async (statements) => {
          const answers = await Promise.allSettled(statements.map(send));
          return answers.map((answer) => {
            if (answer.status === 'rejected') throw answer.reason;
            return answer.value;
          });
        }),
    },
    { keyHours: 1, lockMsMax: slow(1000), schema: 'safe_counters' },
  );
}

t.test('without a fault everything passes', async (t) => {
  const { connect, value, write, transact } = await setUp(t);
  const client = await connect();
  for (let i = 0; i < 3; i += 1) await write(client);
  for (let i = 0; i < 3; i += 1) await transact(client);
  // Larger than a packet of any network, so that it arrives in pieces.
  const { rows } = await client.query<{ length: number }>('select length($1)', ['x'.repeat(500_000)]);
  t.match(rows, [{ length: 500_000 }]);
  t.equal(await value(), 6);
  await client.end();
});

t.test('a statement cut off before it arrives is not applied, even if it is sent by its name', async (t) => {
  const { connect, value, trap, write } = await setUp(t);
  for (const before of [0, 1]) {
    const client = await connect();
    for (let i = 0; i < before; i += 1) await write(client);
    const caught = trap('cut before');
    await t.rejects(write(client));
    t.match(await caught, { statement: { does: 'write', batch: `${WRITER}/${2 * before + 1}` } });
    t.equal(await (await caught).outcome, 'cut');
    t.equal(await value(), before);
  }
});

t.test('a statement cut off after the commit is applied, and the client gets no answer', async (t) => {
  const { connect, value, trap, write } = await setUp(t);
  const client = await connect();
  await write(client);
  const caught = trap('cut after');
  await client.query('select 1');
  await t.rejects(write(client));
  t.equal(await (await caught).outcome, 'committed');
  t.equal(await value(), 2);
});

t.test(
  'a statement that is refused or writes nothing is neither reported as committed nor cut off',
  async (t) => {
    const { connect, trap, value, write } = await setUp(t);
    const client = await connect();
    await write(client, increment(1, 'key'));
    const refused = trap('cut after');
    await t.rejects(write(client, increment(Number.MAX_SAFE_INTEGER)), { code: '23514' });
    t.equal(await (await refused).outcome, '23514');
    const known = trap('cut after');
    t.equal((await write(client, increment(1, 'key'))).known.size, 1);
    t.equal(await (await known).outcome, 'nothing');
    const committed = trap('cut after');
    await t.rejects(write(client), 'the connection is cut at the first commit');
    t.equal(await (await committed).outcome, 'committed');
    t.equal(await value(), 2);
  },
);

t.test('a statement whose answer is held is applied, and the client times out', async (t) => {
  const { connect, value, trap, write } = await setUp(t);
  const client = await connect();
  const caught = trap('hold answer');
  await t.rejects(write(client), /timeout/);
  const { outcome, abandoned, release } = await caught;
  await client.end();
  await abandoned;
  t.equal(await outcome, 'committed');
  t.equal(await value(), 1);
  release();
});

t.test('a held statement is delivered after its client has timed out', async (t) => {
  const { connect, value, trap, write } = await setUp(t);
  const client = await connect();
  const caught = trap('hold');
  await t.rejects(write(client), /timeout/);
  const { outcome, abandoned, release } = await caught;
  await client.end();
  await abandoned;
  t.equal(await value(), 0);
  release();
  t.equal(await outcome, 'committed');
  t.equal(await value(), 1);
});

/** The statement fails while another transaction has locked the counter. */
const LOCKS = `select from safe_counters.counters where name = 'a' for update nowait`;

t.test(
  'a statement whose Sync is held is run, keeps its locks, and is committed when Sync arrives',
  async (t) => {
    const { connect, value, trap, direct, write } = await setUp(t);
    const client = await connect();
    await write(client);
    const caught = trap('hold sync');
    await t.rejects(write(client), /timeout/);
    const { outcome, release } = await caught;
    await t.rejects(direct.query(LOCKS), { code: '55P03' });
    t.equal(await value(), 1);
    release();
    t.equal(await outcome, 'committed');
    t.equal(await value(), 2);
  },
);

t.test('a transaction is cut off before any of its statements, and nothing of it remains', async (t) => {
  const { connect, value, trap, direct, write, transact } = await setUp(t);
  await write(direct);
  for (const does of ['begin', 'lock', 'apply', 'commit'] as const) {
    const client = await connect();
    const caught = trap('cut before', doing(does));
    await t.rejects(transact(client), does);
    const { statement, reached, outcome } = await caught;
    await reached;
    t.equal(await outcome, 'cut');
    t.match(statement, { does, batch: does === 'begin' || does === 'lock' ? '' : /^[0-9a-f-]{36}\/\d+$/ });
    await until(async () => (await direct.query(LOCKS)).rowCount === 1);
    t.equal(await value(), 1);
  }
});

t.test('a transaction cut off after COMMIT is applied, and the client gets no answer', async (t) => {
  const { connect, value, trap, transact } = await setUp(t);
  const client = await connect();
  await transact(client);
  const caught = trap('cut after', doing('commit'));
  await t.rejects(transact(client));
  t.equal(await (await caught).outcome, 'committed');
  t.equal(await value(), 2);
});

t.test('on a silent link, the server ends a transaction in which it waits for the client', async (t) => {
  const { connect, value, trap, direct, write, transact } = await setUp(t);
  await write(direct);
  for (const does of ['lock', 'apply', 'commit'] as const) {
    const client = await connect();
    const caught = trap('silence', doing(does));
    await t.rejects(transact(client), /timeout|connection/i, does);
    const { outcome, ended, release } = await caught;
    t.equal(await outcome, '25P03', 'idle_in_transaction_session_timeout');
    await ended;
    await direct.query(LOCKS);
    release();
    t.equal(await value(), 1);
  }
});

t.test(
  'when the client is cut off alone, the server holds the locks, and applies what it receives later',
  async (t) => {
    const { connect, value, trap, direct, write, transact } = await setUp(t);
    await write(direct);
    const client = await connect();
    const caught = trap('hold', doing('commit'));
    const transacted = t.rejects(transact(client));
    const { reached, hangUp, abandoned, outcome, release } = await caught;
    await reached;
    hangUp();
    await Promise.all([transacted, abandoned]);
    await t.rejects(direct.query(LOCKS), { code: '55P03' });
    release();
    t.equal(await outcome, 'committed');
    t.equal(await value(), 2);
  },
);

t.test('a COMMIT that the server answers with ROLLBACK is not a commit', async (t) => {
  const { connect, value, trap, direct, write, transact } = await setUp(t);
  const client = await connect();
  await write(client);
  await direct.query('update safe_counters.writers set seq = 9');
  const applied = trap('watch', doing('apply'));
  await t.rejects(transact(client), { code: '23502' });
  t.equal(await (await applied).outcome, '23502');
  const rolledBack = trap('watch', doing('commit'));
  await t.rejects(transact(client), { code: '23502' });
  t.equal(await (await rolledBack).outcome, 'rolled back');
  t.equal(await value(), 1);
});

t.test(
  'in a silent network, connections stay open and nothing passes; afterwards everything is delivered',
  async (t) => {
    const { proxy, connect, value, write } = await setUp(t);
    const client = await connect();
    proxy.silence();
    await t.rejects(connect(), /timeout/);
    await t.rejects(write(client), /timeout/);
    t.equal(await value(), 0);
    proxy.heal();
    await until(async () => (await value()) === 1);
    await (await connect()).end();
  },
);

t.test('while connections are refused, open ones are cut and new ones fail', async (t) => {
  const { proxy, connect, write } = await setUp(t);
  const client = await connect();
  proxy.refuse();
  await t.rejects(write(client));
  await t.rejects(connect());
  proxy.heal();
  await (await connect()).end();
});

t.test('an unused trap can be removed, and then catches nothing', async (t) => {
  const { proxy, connect, value, write } = await setUp(t);
  const removal = new AbortController();
  const caught = proxy.trap('cut before', removal.signal);
  removal.abort(new Error('enough'));
  await t.rejects(caught, /enough/);
  const client = await connect();
  await write(client);
  t.equal(await value(), 1);
  await client.end();
});

t.test('the statements of a batch are distinguished, even when only their names are sent', async (t) => {
  const { connect, trap, write } = await setUp(t);
  const client = await connect();
  const closed = trap('watch', ({ does, batch }) => does === 'close' && batch === `${WRITER}/2`);
  for (const seq of [1, 2]) {
    const written = trap('watch');
    await write(client);
    t.match(await written, { statement: { does: 'write', batch: `${WRITER}/${seq}` } });
    t.equal(await (await written).outcome, 'committed');
    t.strictSame(await storeOn(client).close({ writer: WRITER, seq }), [seq]);
  }
  t.match(await closed, { clientPort: Number });
  t.equal(await (await closed).outcome, 'committed', 'the close of the second batch');
  const late = trap('cut after', doing('close'));
  await t.rejects(storeOn(client).close({ writer: WRITER, seq: 9 }));
  t.equal(
    await (await late).outcome,
    'nothing',
    'a close under whose number nothing was written is cut off, too',
  );
});
