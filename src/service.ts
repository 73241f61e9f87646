import { once } from 'node:events';
import { createServer } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { messageOf } from './errors/caught.ts';
import { type Config, loadConfig } from './config.ts';
import { loadDotEnv } from './dot-env.ts';
import { startEmbedded } from './embedded-postgres/embedded.ts';
import { logStream } from './log-stream.ts';
import { StartupError } from './errors/startup-error.ts';

/** Closes something that was opened. */
export type Close = () => Promise<void>;

/**
 * Starts the service as the environment, or a file `.env` in the working directory, configures it.
 *
 * @param opened receives a function for each resource, before it is open; they are to be called in the reverse order
 * @param signal aborted when the service has to end: then nothing more is opened
 * @throws {StartupError} when the service cannot start
 */
export async function startService(opened: Close[], signal: AbortSignal): Promise<void> {
  loadDotEnv();
  const config = loadConfig();
  const log = pino<string>({ level: config.LOG_LEVEL }, await logStream());
  opened.push(async () => log.info('closed'));
  await assertFree(config);
  let databaseUrl = config.DATABASE_URL;
  if (!databaseUrl) {
    const embeddedLog = {
      info: (message: string) => log.info(message),
      warn: (message: string) => log.warn(message),
    };
    const embedded = startEmbedded(config.DATA_DIR, config.POOL_MAX, embeddedLog, signal);
    opened.push(() =>
      embedded.then(
        (server) => server.stop(),
        () => {}, // The server has not started, so there is nothing to stop.
      ),
    );
    ({ databaseUrl } = await embedded);
  }
  // Loaded late, because it takes almost a second: errors of the start are reported before that.
  const { buildApp } = await import('./app.ts');
  signal.throwIfAborted();
  const app = await buildApp({ config, databaseUrl, logger: log });
  opened.push(() => app.close());
  signal.throwIfAborted();
  const address = await listen(app, config);
  opened.push(async () => log.info('closing'));
  log.info(`ready: ${address} (${config.DEMOS ? 'the page; ' : ''}API and "Try it out": ${address}/docs)`);
}

/** Checks the port first, so that nothing is created or migrated for a service that cannot listen. */
async function assertFree({ HOST, PORT }: Config): Promise<void> {
  const server = createServer();
  try {
    await once(server.listen({ host: HOST, port: PORT }), 'listening');
  } catch (error) {
    throw cannotListen(error);
  }
  server.close();
  await once(server, 'close');
}

const cannotListen = (error: unknown) =>
  new StartupError(`cannot listen (HOST, PORT): ${messageOf(error)}`, { cause: error });

async function listen(app: FastifyInstance, { HOST, PORT }: Config): Promise<string> {
  try {
    return await app.listen({ host: HOST, port: PORT, listenTextResolver: (at) => `listening on ${at}` });
  } catch (error) {
    throw cannotListen(error);
  }
}
