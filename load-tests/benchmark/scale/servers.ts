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

/** Connections of three services, four writers and the benchmark. */
const SETTINGS = { max_connections: '200' };

export interface Server {
  databaseUrl: string;
  port: number;
  /** The process whose children are the server's. */
  pid: number;
}

export interface Servers {
  /** Commits wait for its own disk. */
  alone: Server;
  /** Commits wait for the disk of a standby as well. */
  replicated: Server;
  /** The network between that server and its standby. */
  link: DelayedLink;
  /** Ends the servers and removes their data. */
  stop: () => Promise<void>;
}

/** Starts a server alone, and a primary with a synchronous standby; all of them are durable. */
export async function startServers(): Promise<Servers> {
  const folder = await ownFolder('scale');
  const programs = await runnablePrograms(process.env.POSTGRES_BIN ?? (await findPrograms()), folder);
  const cluster = (name: string) => join(folder, name);
  const link = new DelayedLink();
  const stop = async () => {
    // The standby first: a primary that ends waits until its standby has everything.
    for (const name of ['standby', 'primary', 'alone']) await stopServer(programs, cluster(name));
    await link.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await createCluster(programs, cluster('alone'), PASSWORD);
    // A cluster that has never run is complete in its files: a copy of the primary can become its standby.
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

/** The address of the database, through whatever listens at that port. */
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
