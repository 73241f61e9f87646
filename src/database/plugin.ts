import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { messageOf } from '../errors/caught.ts';
import { DiskWatch } from './disk-watch.ts';
import { migrate } from './migrate.ts';
import { type Database, type DatabaseOptions, openDatabase } from './orm.ts';
import { type DatabaseLog, openSessions } from './pool.ts';
import { ServerWatch } from './server-watch.ts';
import type { Sessions } from './sessions.ts';
import { type DatabaseConfig, probeSessions } from './settings.ts';
import { whenWritable } from './writable-server.ts';

declare module 'fastify' {
  interface FastifyInstance {
    database: ServiceDatabase;
  }
}

/** The service's connections. */
export interface ServiceDatabase extends Database {
  /** Connections for the counters only, so that they do not wait for lists or demonstrations. */
  counters: Sessions;
  server: ServerWatch;
}

/** How long the start waits for the server to report its risks, in milliseconds. */
const ASK_MS_MAX = 5000;

export interface DatabasePluginOptions extends Pick<DatabaseOptions, 'databaseUrl' | 'entities'> {
  config: DatabaseConfig & { readonly FAILOVER_TIMEOUT_MS: number };
  /** The number of connections for the counters only. */
  counterConnections: number;
}

/** Opens the database and migrates it before the service listens; closes it after the last request. */
export const databasePlugin = fastifyPlugin(
  async (app: FastifyInstance, options: DatabasePluginOptions) => {
    const { databaseUrl, config } = options;
    const log: DatabaseLog = {
      info: (message) => app.log.info(message),
      warn: (message) => app.log.warn(message),
    };
    const prepare = async () => {
      const session = await probeSessions(databaseUrl, config, log.warn);
      const applied = await migrate({ ...options, log, session });
      log.info(
        `the database is up to date: ${applied} ${applied === 1 ? 'migration' : 'migrations'} applied`,
      );
      return session;
    };
    const waitMsMax = config.FAILOVER_TIMEOUT_MS;
    const session = await whenWritable(prepare, { databaseUrl, waitMsMax, log });
    const disk = new DiskWatch();
    const database = openDatabase({ ...options, log, session, onError: disk.note });
    const counters = openSessions({
      ...options,
      log,
      session,
      onError: disk.note,
      // Each statement is a transaction, and a higher level would only cause more refusals.
      config: { ...config, POOL_MAX: options.counterConnections, ISOLATION_LEVEL: 'read committed' },
    });
    counters.shareServerWith(database.sessions);
    const server = new ServerWatch(database.sessions, disk, log);
    app.decorate('database', { ...database, counters, server });
    await server.ask(ASK_MS_MAX).catch((error: unknown) => {
      log.warn(`the durability settings of the database could not be read: ${messageOf(error)}`);
    });
    app.addHook('onClose', async () => {
      await database.close();
      await counters.end();
    });
  },
  { name: 'database' },
);
