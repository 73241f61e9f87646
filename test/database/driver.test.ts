import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { Pool } from 'pg';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { driverFor, newClient } from '../../src/database/driver.ts';
import { failureOf } from '../../src/database/failure.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openDatabase } from '../../src/database/orm.ts';
import { probeSessions } from '../../src/database/settings.ts';
import { freePort } from '../../src/embedded-postgres/server.ts';
import { entities } from '../../src/entities.ts';
import { runExperiment } from '../../src/labs/bench/experiment.ts';
import { readerWriter } from '../../src/labs/session/reader-writer.ts';
import { CHECKOUT, POSTS, silent } from '../helper.ts';
import { completePostgres, startPair } from '../standby.ts';
import { DEMOS_SCHEMA } from '../test-server.ts';

const bin = await completePostgres();
const skip = bin ? false : 'pg_basebackup is not installed';

/** A server that accepts connections and never answers, like one whose processes are stopped. */
async function silentServer(t: Test): Promise<number> {
  return listening(t, () => {});
}

async function listening(t: Test, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

const portOf = (url: string) => new URL(url).port;

/** The address of servers at these ports. */
const at = (ports: readonly (string | number)[], target: string) =>
  `postgresql://postgres:test@${ports.map((port) => `127.0.0.1:${port}`).join()}/postgres?target_session_attrs=${target}`;

/** The port of the server that a connection goes to. */
async function connected(url: string, connectionTimeoutMillis = 3000) {
  const client = newClient(url, { connectionTimeoutMillis });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ port: string }>(`select current_setting('port') as port`);
    return rows[0]?.port;
  } finally {
    await client.end();
  }
}

t.test('of several servers, the driver connects to a suitable one', { skip }, async (t) => {
  const { primary, standby } = await startPair(t, bin ?? '');
  const closed = await freePort();
  const frozen = await silentServer(t);
  const [writable, readOnly] = [portOf(primary), portOf(standby)];

  await t.test('in any order of the hosts, and whatever the other servers do', async (t) => {
    for (const target of ['read-write', 'primary']) {
      for (const ports of [
        [readOnly, writable],
        [writable, readOnly],
        [closed, frozen, readOnly, writable],
      ]) {
        t.equal(await connected(at(ports, target)), writable, `${target} of ${ports.join()}`);
      }
    }
  });

  await t.test('a server that does not answer causes no delay', async (t) => {
    // Far more than a test may take.
    t.equal(await connected(at([frozen, writable], 'read-write'), 600_000), writable);
  });

  await t.test('with the target any, the first server that accepts a connection is used', async (t) => {
    t.equal(await connected(at([readOnly, writable], 'any')), readOnly);
    t.equal(await connected(at([writable, readOnly], 'any')), writable);
    t.equal(await connected(at([closed, readOnly, writable], 'any')), readOnly);
  });

  await t.test('without a suitable server, the error gives the reason for each', async (t) => {
    const noWriter = await connected(at([closed, readOnly], 'read-write')).catch((error: unknown) => error);
    t.equal(failureOf(noWriter), 'read_only');
    t.match(noWriter, {
      message: new RegExp(
        `^no server accepts writes: 127.0.0.1:${closed} \\(connect ECONNREFUSED.*\\), 127.0.0.1:${readOnly} \\(it is a standby`,
      ),
    });
    const unreachable = await connected(at([closed, closed], 'any')).catch((error: unknown) => error);
    t.equal(failureOf(unreachable), 'unavailable');
    t.match(unreachable, { message: /^no server accepts connections: .*ECONNREFUSED.*, .*ECONNREFUSED/ });
    const readOnlyError = await connected(at([readOnly], 'primary')).catch((error: unknown) => error);
    t.match(readOnlyError, { message: /^no server is a primary: .*read-only/ });
  });

  await t.test('connections that are opened together probe the servers once', async (t) => {
    let opened = 0;
    const counting = await listening(t, (socket) => {
      opened += 1;
      const upstream = connect(Number(writable), '127.0.0.1');
      upstream.on('error', () => socket.destroy());
      socket.pipe(upstream).pipe(socket);
    });
    const pool = new Pool({ ...driverFor(at([readOnly, counting], 'read-write')), max: 5 });
    t.teardown(() => pool.end());
    const clients = await Promise.all([1, 2, 3, 4, 5].map(() => pool.connect()));
    for (const client of clients) client.release();
    t.equal(opened, 6);
  });

  await t.test('the command line of MikroORM connects to the writable server', async (t) => {
    const env = { PATH: process.env.PATH, DATABASE_URL: at([closed, readOnly, writable], 'read-write') };
    const args = ['run', 'mikro-orm', '--', 'migration:pending'];
    const { stdout } = await promisify(execFile)('npm', args, { cwd: CHECKOUT, env });
    t.match(stdout, '20261130000000_demonstrations');
  });

  await t.test('migrations, MikroORM and the labs connect to the writable server', async (t) => {
    const databaseUrl = at([closed, readOnly, writable], 'read-write');
    const config = loadConfig({});
    const session = await probeSessions(databaseUrl, config, () => {});
    const options = { databaseUrl, entities, config, log: silent, session, schema: DEMOS_SCHEMA };
    t.ok((await migrate(options)) > 0);
    const { orm } = openDatabase(options);
    t.teardown(() => orm.close());
    await orm.em.fork().execute(`insert into ${POSTS} default values`);
    const { signal } = new AbortController();
    const context = { databaseUrl, config, log: silent, signal };
    t.match(await runExperiment(readerWriter, context), { holds: true });
  });

  await t.test('a client that is ended while it looks for a server does not connect', async (t) => {
    const client = newClient(at([readOnly, writable], 'read-write'), {});
    const connecting = client.connect();
    await client.end();
    await t.rejects(connecting, /closed while it was opened/);
  });
});
