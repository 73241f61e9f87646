import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findPrograms, runnablePrograms } from '../../../src/embedded-postgres/home.ts';
import {
  createCluster,
  freePort,
  runningServer,
  type ServerPrograms,
  startServer,
  stopServer,
} from '../../../src/embedded-postgres/server.ts';
import { ownFolder } from '../../shared/own-folder.ts';
import { DelayedLink } from './delayed-link.ts';

const run = promisify(execFile);

const PASSWORD = 'scale';

/** Enough connections for three services, four writers and the benchmark. */
const SETTINGS = { max_connections: '200' };

export interface Server {
  databaseUrl: string;
  port: number;
  /** The process id of the postmaster. */
  pid: number;
}

export interface Servers {
  /** Its commits wait for its own disk. */
  alone: Server;
  /** Its commits also wait for the disk of a standby. */
  replicated: Server;
  /** The network between that server and its standby. */
  link: DelayedLink;
  /** Ends the servers and removes their data. */
  stop: () => Promise<void>;
}

/** Starts a single server, and a primary with a synchronous standby. All commits are durable. */
export async function startServers(): Promise<Servers> {
  const folder = await ownFolder('scale');
  const programs = await runnablePrograms(process.env.POSTGRES_BIN ?? (await findPrograms()), folder);
  const cluster = (name: string) => join(folder, name);
  const link = new DelayedLink();
  const stop = async () => {
    // The standby first: otherwise the primary would wait for it during shutdown.
    for (const name of ['standby', 'primary', 'alone']) await stopServer(programs, cluster(name));
    await link.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await createCluster(programs, cluster('alone'), PASSWORD);
    // The files of a cluster that has never run are consistent: a copy of the primary can become its standby.
    for (const name of ['primary', 'standby']) await run('cp', ['-a', cluster('alone'), cluster(name)]);
    await writeFile(join(cluster('standby'), 'standby.signal'), '');
    const alone = await start(programs, cluster('alone'));
    const replicated = await start(programs, cluster('primary'), { synchronous_standby_names: '*' });
    const port = await link.listen(replicated.port);
    await start(programs, cluster('standby'), {
      primary_conninfo: `host=127.0.0.1 port=${port} user=postgres password=${PASSWORD}`,
    });
    return { alone, replicated, link, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The address of the database at a port: a server's or a proxy's. */
export const databaseUrlAt = (port: number): string =>
  `postgresql://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;

async function start(
  programs: ServerPrograms,
  cluster: string,
  settings: Record<string, string> = {},
): Promise<Server> {
  const port = await freePort();
  const logFile = `${cluster}.log`;
  await startServer(programs, cluster, { port, logFile, settings: { ...SETTINGS, ...settings } });
  const { pid = 0 } = (await runningServer(cluster)) ?? {};
  return { databaseUrl: databaseUrlAt(port), port, pid };
}
