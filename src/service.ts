import { existsSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { buildApp } from './app.ts';
import { messageOf } from './caught.ts';
import { type Config, loadConfig } from './config.ts';
import { startEmbedded } from './database/embedded.ts';
import { logStream } from './log-stream.ts';
import { StartupError } from './startup-error.ts';

export interface Service {
  log: Logger<string>;
  /** Ends everything that was opened, in the opposite order. */
  close: () => Promise<void>;
}

/**
 * Opens everything the environment asks for, and listens.
 *
 * @throws {StartupError} when it cannot; what was open by then is closed again
 */
export async function startService(): Promise<Service> {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const config = loadConfig();
  const log = pino<string>({ level: config.LOG_LEVEL }, logStream());
  const opened: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closeOne of opened.splice(0).toReversed()) await closeOne();
  };
  try {
    let databaseUrl = config.DATABASE_URL;
    if (!databaseUrl) {
      const embedded = await startEmbedded(config.DATA_DIR, {
        info: (message) => log.info(message),
        warn: (message) => log.warn(message),
      });
      opened.push(embedded.stop);
      databaseUrl = embedded.databaseUrl;
    }
    const app = await buildApp({ config, databaseUrl, logger: log });
    opened.push(() => app.close());
    const address = await listen(app, config);
    log.info(`ready: ${address} (API and "Try it out": ${address}/docs)`);
  } catch (error) {
    await close();
    throw error;
  }
  return { log, close };
}

async function listen(app: FastifyInstance, { HOST, PORT }: Config): Promise<string> {
  try {
    return await app.listen({ host: HOST, port: PORT, listenTextResolver: (at) => `listening on ${at}` });
  } catch (error) {
    throw new StartupError(`cannot listen (HOST, PORT): ${messageOf(error)}`, { cause: error });
  }
}
