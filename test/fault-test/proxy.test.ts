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

/** A write as the service sends it: prepared, and sent by its name alone from the second time on. */
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
  // Larger than a packet of any network, so that it arrives in pieces.
  const { rows } = await client.query<{ length: number }>('select length($1)', ['x'.repeat(500_000)]);
  t.match(rows, [{ length: 500_000 }]);
  t.equal(await value(), 3);
  await client.end();
});

t.test('a statement cut off before it arrives is not applied, even if it is sent by its name', async (t) => {
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

t.test('a statement cut off after the commit is applied, and the client gets no answer', async (t) => {
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
  'a statement that is refused or writes nothing is neither reported as committed nor cut off',
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
    await t.rejects(write(client), 'the connection is cut at the first commit');
    t.equal(await (await committed).outcome, 'committed');
    t.equal(await value(), 1);
  },
);

t.test('a statement whose answer is held is applied, and the client times out', async (t) => {
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

t.test('a held statement is delivered after its client has timed out', async (t) => {
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
  'a statement whose Sync is held is run, keeps its locks, and is committed when Sync arrives',
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
  'in a silent network, connections stay open and nothing passes; afterwards everything is delivered',
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

t.test('while connections are refused, open ones are cut and new ones fail', async (t) => {
  const { proxy, connect } = await setUp(t);
  const client = await connect();
  proxy.refuse();
  await t.rejects(write(client));
  await t.rejects(connect());
  proxy.heal();
  await (await connect()).end();
});

t.test('an unused trap can be removed, and then catches nothing', async (t) => {
  const { proxy, connect, value } = await setUp(t);
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
  const { connect, trap } = await setUp(t);
  const client = await connect();
  const writer = '00000000-0000-4000-8000-000000000001';
  await client.query({ ...REGISTER, values: [writer] });
  const closed = trap('watch', ({ does, batch }) => does === 'close' && batch === `${writer}/2`);
  for (const seq of [1, 2]) {
    const written = trap('watch');
    await client.query({ ...WRITE_ONE, values: [writer, seq, '100ms', 'a', 1, 1, 1, null, null, null] });
    t.match(await written, { statement: { does: 'write', batch: `${writer}/${seq}` } });
    t.equal(await (await written).outcome, 'committed');
    await client.query({ ...CLOSE, values: [writer, seq] });
  }
  t.match(await closed, { clientPort: Number });
  t.equal(await (await closed).outcome, 'committed', 'the close of the second batch');
  const late = trap('cut after', ({ does }) => does === 'close');
  await t.rejects(client.query({ ...CLOSE, values: [writer, 9] }));
  t.equal(
    await (await late).outcome,
    'nothing',
    'a close that changes nothing is cut off as well: the number is closed already',
  );
});
