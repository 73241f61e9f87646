import { join } from 'node:path';
import type { Test } from 'tap';
import { createCluster, freePort, startServer, stopServer } from '../src/embedded-postgres/server.ts';
import { testFolder } from './helper.ts';
import { copyCluster, findTestPrograms } from './test-server.ts';

export interface OwnServer {
  databaseUrl: string;
  cluster: string;
  start: () => Promise<void>;
  stop: () => Promise<void>;
}

/**
 * A PostgreSQL server that a test may stop and kill, besides the one that all test files share.
 *
 * @param bin the programs to run; undefined: those of the other tests
 * @param parent where its folder is created; undefined: the default place
 */
export async function ownServer(t: Test, bin?: string, parent?: string): Promise<OwnServer> {
  const folder = await testFolder(t, 'own', parent);
  const cluster = join(folder, 'cluster');
  const programs = await findTestPrograms(bin);
  const port = await freePort();
  const logFile = join(folder, 'postgres.log');
  const settings = { fsync: 'off' };
  t.teardown(() => stopServer(programs, cluster));
  if (bin === undefined) await copyCluster(cluster);
  else await createCluster(programs, cluster, 'test');
  const start = () => startServer(programs, cluster, { port, logFile, settings });
  await start();
  return {
    databaseUrl: `postgresql://postgres:test@127.0.0.1:${port}/postgres`,
    cluster,
    start,
    stop: () => stopServer(programs, cluster),
  };
}
