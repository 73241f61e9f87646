import { Client } from 'pg';
import t from 'tap';
import { injectAndHeal, MissedError, type World } from '../../load-tests/fault-test/faults/fault.ts';
import { faultNamed } from '../../load-tests/fault-test/faults/index.ts';
import { Proxy } from '../../load-tests/fault-test/network/proxy.ts';
import type { Replica } from '../../load-tests/fault-test/world/replica.ts';
import { statementsIn } from '../../src/counters/sql.ts';
import { testClient, testDatabase, until } from '../helper.ts';
import { slow } from '../pace.ts';

const WRITER = '00000000-0000-4000-8000-000000000001';
const { register, writeOne } = statementsIn('safe_counters');

// The faults that hold a statement after the server has run it, while it keeps its locks.
for (const name of ['pg_terminate_backend of a close', 'half-open connection: written, late commit']) {
  t.test(`"${name}" leaves no lock behind when the fault is missed`, async (t) => {
    const databaseUrl = await testDatabase(t);
    const [direct, spare] = [await testClient(t, databaseUrl), await testClient(t, databaseUrl)];
    const proxy = new Proxy(Number(new URL(databaseUrl).port));
    await proxy.listen();
    t.teardown(() => proxy.close());
    const over = new AbortController();
    const replica = { proxy } as Replica;
    const postgres = { connect: async () => spare };
    const callers = { ensureTraffic: () => {} };
    const world = { postgres, callers, replicas: [replica], signal: over.signal } as unknown as World;
    await direct.query({ ...register, values: [WRITER] });

    const made = injectAndHeal(faultNamed(name), world, replica).catch((error: unknown) => error);
    const client = new Client(databaseUrl.replace(/:\d+\//, `:${proxy.port}/`));
    await client.connect();
    const values = [WRITER, 1, '1s', '', 'hot', '-infinity', 1, 0, 1, 1];
    const written = client.query({ ...writeOne, values });
    const running = `select from pg_stat_activity where datname = current_database() and backend_xid is not null`;
    await until(async () => (await direct.query(running)).rowCount === 1);
    // As if the service had neither timed out nor settled the answer before the time limit.
    over.abort();
    t.ok((await made) instanceof MissedError);
    await direct.query(`set lock_timeout = ${slow(5000)}`);
    const again = await direct.query(
      `insert into safe_counters.counters (name, value) values ('hot', 1) on conflict do nothing`,
    );
    t.equal(again.rowCount, 0, 'the held statement is committed');
    await written;
    await client.end();
  });
}
