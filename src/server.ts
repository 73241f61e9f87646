import { existsSync } from 'node:fs';
import closeWithGrace from 'close-with-grace';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { messageOf } from './caught.ts';
import { buildApp } from './app.ts';
import { type Config, loadConfig } from './config.ts';
import { startEmbedded } from './database/embedded.ts';
import { logStream } from './log-stream.ts';
import { StartupError } from './startup-error.ts';

/** From the signal to the end of the process at most, in milliseconds. */
const CLOSE_MS_MAX = 9500;

type Log = Logger<string>;

/** Opens everything, outermost last, and returns what closes it again, whatever was open by then. */
async function start(config: Config, log: Log): Promise<() => Promise<void>> {
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
  return close;
}

async function listen(app: FastifyInstance, { HOST, PORT }: Config): Promise<string> {
  try {
    return await app.listen({ host: HOST, port: PORT, listenTextResolver: () => 'listening' });
  } catch (error) {
    throw new StartupError(`cannot listen (HOST, PORT): ${messageOf(error)}`, { cause: error });
  }
}

try {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const config = loadConfig();
  const log = pino<string>({ level: config.LOG_LEVEL }, logStream());
  const started = start(config, log);
  closeWithGrace({ delay: CLOSE_MS_MAX, logger: log }, async ({ err, signal }) => {
    if (err) log.fatal({ err }, 'the service cannot go on');
    else log.info(`closing on ${signal}`);
    const close = await started;
    await close();
    log.info('closed');
  });
  await started;
} catch (error) {
  console.error(error instanceof StartupError ? error.message : error);
  process.exit(1);
}
