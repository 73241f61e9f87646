import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { DiskWatch } from './disk-watch.ts';
import { ConnectionError } from './failure.ts';
import { migrate } from './migrate.ts';
import { type Database, type DatabaseLog, type DatabaseOptions, openDatabase, openSessions } from './orm.ts';
import { risks, type ServerState, serverState } from './server-state.ts';
import type { Sessions } from './sessions.ts';
import { probeSessions, type SessionKind } from './settings.ts';

declare module 'fastify' {
  interface FastifyInstance {
    database: ServiceDatabase;
  }
}

/** The service's connections. */
export interface ServiceDatabase extends Database {
  /** Those of the counters, which wait for no list and for no demonstration. */
  counters: Sessions;
  disk: DiskWatch;
}

export interface DatabasePluginOptions extends Pick<DatabaseOptions, 'databaseUrl' | 'entities' | 'config'> {
  /** Connections that the counters have to themselves. */
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
    let session: SessionKind;
    try {
      session = await probeSessions(databaseUrl, config, log.warn);
      const applied = await migrate({ ...options, log, session });
      log.info(`the database is up to date, ${applied} migrations applied just now`);
    } catch (error) {
      if (error instanceof StartupError) throw error;
      throw new StartupError(unusable(databaseUrl, error as Error), { cause: error });
    }
    const disk = new DiskWatch();
    const database = openDatabase({ ...options, log, session, onError: disk.note });
    const counters = openSessions({
      ...options,
      log,
      session,
      onError: disk.note,
      // Its statements are transactions of their own, which a higher level would only refuse more often.
      config: { ...config, POOL_MAX: options.counterConnections, ISOLATION_LEVEL: 'read committed' },
    });
    app.decorate('database', { ...database, counters, disk });
    await tellRisks(counters, log);
    app.addHook('onClose', async () => {
      await database.orm.close();
      await counters.end();
    });
  },
  { name: 'database' },
);

/** Says at the start what "acknowledged" does not promise on this server. */
async function tellRisks(sessions: Sessions, log: DatabaseLog): Promise<void> {
  try {
    for (const risk of (await serverState(sessions)).risks) log.warn(risks[risk]);
  } catch (error) {
    log.warn(`the server does not say how durable its commits are: ${messageOf(error)}`);
  }
}

/**
 * Asks the server for its state: a real round trip.
 *
 * @throws {ConnectionError} when it fails, or takes longer than `deadlineMs` milliseconds
 */
export async function ask(
  { sessions }: Pick<Database, 'sessions'>,
  deadlineMs: number,
): Promise<ServerState> {
  const asked = serverState(sessions);
  // It may fail when nobody waits for it any more.
  asked.catch(() => {});
  const late = Promise.withResolvers<never>();
  const error = new ConnectionError('unavailable', `the database did not answer within ${deadlineMs} ms`);
  const timer = setTimeout(() => late.reject(error), deadlineMs);
  try {
    return await Promise.race([asked, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A name with several addresses fails with several errors: the first says why. */
function reasonOf(error: unknown): string {
  return error instanceof AggregateError && error.errors.length > 0
    ? messageOf(error.errors[0])
    : messageOf(error);
}

/** One line that names the place and the reason, and never the password. */
function unusable(databaseUrl: string, error: Error): string {
  const { hostname, port, pathname, username } = new URL(databaseUrl);
  const place = `${hostname || 'localhost'}:${port || 5432}${pathname}`;
  const reason = reasonOf(error.cause ?? error).split('\n')[0];
  return `cannot use the database at ${place} as "${username}" (DATABASE_URL): ${reason}`;
}
