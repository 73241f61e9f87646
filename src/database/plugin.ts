import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { messageOf } from '../errors/caught.ts';
import { DiskWatch } from './disk-watch.ts';
import { driverFor } from './driver.ts';
import { type Database, type DatabaseOptions, openDatabase } from './orm.ts';
import { type DatabaseLog, openCounterSessions } from './pool.ts';
import { demosSchema } from './schema.ts';
import { ServerWatch } from './server-watch.ts';
import type { Sessions } from './sessions.ts';
import { type DatabaseConfig, probeSessions, type SessionKind } from './settings.ts';
import { whenWritable } from './writable-server.ts';

declare module 'fastify' {
  interface FastifyInstance {
    database: ServiceDatabase;
  }
}

/** The service's connections. Those of the demonstrations are opened when a demonstration needs them. */
export interface ServiceDatabase extends Database {
  /** Connections for the counters only, so that they do not wait for demonstrations. */
  counters: Sessions;
  server: ServerWatch;
}

/** How long the start waits for the server to report its risks, in milliseconds. */
const ASK_MS_MAX = 5000;

export interface DatabasePluginOptions extends Pick<DatabaseOptions, 'databaseUrl' | 'entities'> {
  config: DatabaseConfig & { readonly FAILOVER_TIMEOUT_MS: number; readonly DATABASE_SCHEMA: string };
  /** Creates the tables, or brings them up to date, before anything else uses the database. */
  migrate: (session: SessionKind, log: DatabaseLog) => Promise<void>;
  /** The number of connections for the counters only. */
  counterConnections: number;
}

/** Opens the database and migrates it before the service listens; closes it after the last request. */
export const databasePlugin = fastifyPlugin(
  async (app: FastifyInstance, options: DatabasePluginOptions) => {
    const { databaseUrl, config, migrate } = options;
    const log: DatabaseLog = {
      info: (message) => app.log.info(message),
      warn: (message) => app.log.warn(message),
    };
    const prepare = async () => {
      const session = await probeSessions(databaseUrl, config, log.warn);
      await migrate(session, log);
      return session;
    };
    const waitMsMax = config.FAILOVER_TIMEOUT_MS;
    const session = await whenWritable(prepare, { databaseUrl, waitMsMax, log });
    const disk = new DiskWatch();
    const schema = demosSchema(config.DATABASE_SCHEMA);
    const database = openDatabase({ ...options, schema, log, session, onError: disk.note });
    const counters = openCounterSessions(driverFor(databaseUrl), {
      log,
      session,
      onError: disk.note,
      // A higher level would only cause more refusals.
      config: { ...config, POOL_MAX: options.counterConnections, ISOLATION_LEVEL: 'read committed' },
    });
    counters.shareServerWith(database.sessions);
    const server = new ServerWatch(counters, config.DATABASE_SCHEMA, disk, log);
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
