import { Client } from 'pg';
import t, { type Test } from 'tap';
import type { Caught, Trap, Wanted } from '../../load-tests/fault-test/network/trap.ts';
import { Proxy } from '../../load-tests/fault-test/network/proxy.ts';
import { CLOSE, REGISTER, WRITE_ONE } from '../../src/counters/statements.ts';
import { testClient, testDatabase, until } from '../helper.ts';
import { slow } from '../pace.ts';

const TEXT = `with written as (
  insert into counters as c (name, value) values ('a', $1)
  on conflict (name) do update set value = c.value + excluded.value returning c.name, c.value
) select name, value from written`;

/** A write as the service sends it: prepared, so that the second one on a connection is sent by its name alone. */
const write = (client: Client, by = 1) => client.query({ name: 'write', text: TEXT, values: [by] });

async function setUp(t: Test) {
  const databaseUrl = await testDatabase(t);
  const proxy = new Proxy(Number(new URL(databaseUrl).port));
  await proxy.listen();
  t.teardown(() => proxy.close());
  const through = databaseUrl.replace(/:\d+\//, `:${proxy.port}/`);
  const direct = await testClient(t, databaseUrl);
  const value = async () => {
    const { rows } = await direct.query<{ value: string }>(`select value from counters where name = 'a'`);
    return Number(rows[0]?.value ?? 0);
  };
  const connect = async () => {
    const client = new Client({
      connectionString: through,
      query_timeout: slow(500),
      connectionTimeoutMillis: slow(500),
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const trap = (kind: Trap, wanted?: Wanted): Promise<Caught> =>
    proxy.trap(kind, new AbortController().signal, wanted);
  return { proxy, connect, value, trap, direct };
}

t.test('without a fault everything passes', async (t) => {
  const { connect, value } = await setUp(t);
  const client = await connect();
  for (let i = 0; i < 3; i += 1) await write(client);
  // Longer than one packet of any network, so that it arrives in pieces.
  const { rows } = await client.query<{ length: number }>('select length($1)', ['x'.repeat(500_000)]);
  t.match(rows, [{ length: 500_000 }]);
  t.equal(await value(), 3);
  await client.end();
});

t.test('a cut before the statement: it is not applied, also when only its name is sent', async (t) => {
  const { connect, value, trap } = await setUp(t);
  for (const before of [0, 1]) {
    const client = await connect();
    for (let i = 0; i < before; i += 1) await write(client);
    const caught = trap('cut before');
    await t.rejects(write(client));
    t.match(await caught, { statement: { does: 'write', batch: '1' } });
    t.equal(await (await caught).outcome, 'cut');
    t.equal(await value(), before);
  }
});

t.test('a cut after the commit: it is applied, and the client has no answer', async (t) => {
  const { connect, value, trap } = await setUp(t);
  const client = await connect();
  await write(client);
  const caught = trap('cut after');
  await client.query('select 1');
  await t.rejects(write(client));
  t.equal(await (await caught).outcome, 'committed');
  t.equal(await value(), 2);
});

t.test(
  'what the server refused or had nothing to write for is not called committed, and not cut',
  async (t) => {
    const { connect, trap, value } = await setUp(t);
    const client = await connect();
    const refused = trap('cut after');
    await t.rejects(client.query(`insert into counters values ('a', 9007199254740992)`), { code: '23514' });
    t.equal(await (await refused).outcome, '23514');
    const empty = trap('cut after');
    await client.query(`insert into counters select 'a', 1 where false returning name`);
    t.equal(await (await empty).outcome, 'nothing');
    const committed = trap('cut after');
    await t.rejects(write(client), 'the same connection');
    t.equal(await (await committed).outcome, 'committed');
    t.equal(await value(), 1);
  },
);

t.test('half-open: it is applied, the client gives up, and no answer comes', async (t) => {
  const { connect, value, trap } = await setUp(t);
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

t.test('a statement is delivered after its client has given it up', async (t) => {
  const { connect, value, trap } = await setUp(t);
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

t.test(
  'without its end a statement is run, keeps its locks, and is committed when the end comes',
  async (t) => {
    const { connect, value, trap, direct } = await setUp(t);
    const client = await connect();
    await write(client);
    const caught = trap('hold sync');
    await t.rejects(write(client), /timeout/);
    const { outcome, release } = await caught;
    await t.rejects(direct.query(`select from counters for update nowait`), { code: '55P03' });
    t.equal(await value(), 1);
    release();
    t.equal(await outcome, 'committed');
    t.equal(await value(), 2);
  },
);

t.test(
  'silence: connections stay and are accepted, nothing passes; then everything is delivered',
  async (t) => {
    const { proxy, connect, value } = await setUp(t);
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

t.test('refused: those that are there are cut and those that come turned away', async (t) => {
  const { proxy, connect } = await setUp(t);
  const client = await connect();
  proxy.refuse();
  await t.rejects(write(client));
  await t.rejects(connect());
  proxy.heal();
  await (await connect()).end();
});

t.test('a trap that nothing goes into can be given up, and catches nothing later', async (t) => {
  const { proxy, connect, value } = await setUp(t);
  const giveUp = new AbortController();
  const caught = proxy.trap('cut before', giveUp.signal);
  giveUp.abort(new Error('enough'));
  await t.rejects(caught, /enough/);
  const client = await connect();
  await write(client);
  t.equal(await value(), 1);
  await client.end();
});

t.test('the statements of a batch are told apart, also when only their names are sent', async (t) => {
  const { connect, trap } = await setUp(t);
  const client = await connect();
  const writer = '00000000-0000-4000-8000-000000000001';
  await client.query({ ...REGISTER, values: [writer] });
  const closed = trap('watch', ({ does, batch }) => does === 'close' && batch === `${writer}/2`);
  for (const seq of [1, 2]) {
    const written = trap('watch');
    await client.query({ ...WRITE_ONE, values: [writer, seq, '100ms', 'a', 1, 1, 1] });
    t.match(await written, { statement: { does: 'write', batch: `${writer}/${seq}` } });
    t.equal(await (await written).outcome, 'committed');
    await client.query({ ...CLOSE, values: [writer, seq] });
  }
  t.match(await closed, { clientPort: Number });
  t.equal(await (await closed).outcome, 'committed', 'with the values');
  const late = trap('cut after', ({ does }) => does === 'close');
  await t.rejects(client.query({ ...CLOSE, values: [writer, 9] }));
  t.equal(await (await late).outcome, 'nothing', 'which is cut as well: the number is closed');
});
