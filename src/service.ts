import { existsSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { buildApp } from './app.ts';
import { messageOf } from './errors/caught.ts';
import { type Config, loadConfig } from './config.ts';
import { startEmbedded } from './embedded-postgres/embedded.ts';
import { logStream } from './log-stream.ts';
import { StartupError } from './errors/startup-error.ts';

/** What ends something that was opened. */
export type Close = () => Promise<void>;

/**
 * Opens everything the environment asks for, and listens. A file `.env` in the working directory counts, too.
 *
 * @param opened gets what closes each thing, as soon as it is open; to be called in the opposite order
 * @throws {StartupError} when it cannot
 */
export async function startService(opened: Close[]): Promise<void> {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const config = loadConfig();
  const log = pino<string>({ level: config.LOG_LEVEL }, await logStream());
  opened.push(async () => log.info('closed'));
  let databaseUrl = config.DATABASE_URL;
  if (!databaseUrl) {
    const embedded = await startEmbedded(config.DATA_DIR, config.POOL_MAX, {
      info: (message) => log.info(message),
      warn: (message) => log.warn(message),
    });
    opened.push(embedded.stop);
    databaseUrl = embedded.databaseUrl;
  }
  const app = await buildApp({ config, databaseUrl, logger: log });
  opened.push(() => app.close());
  const address = await listen(app, config);
  opened.push(async () => log.info('closing'));
  log.info(`ready: ${address} (${config.DEMOS ? 'the page; ' : ''}API and "Try it out": ${address}/docs)`);
}

async function listen(app: FastifyInstance, { HOST, PORT }: Config): Promise<string> {
  try {
    return await app.listen({ host: HOST, port: PORT, listenTextResolver: (at) => `listening on ${at}` });
  } catch (error) {
    throw new StartupError(`cannot listen (HOST, PORT): ${messageOf(error)}`, { cause: error });
  }
}
