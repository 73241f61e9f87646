import { randomUUID } from 'node:crypto';
import fastifyHelmet from '@fastify/helmet';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import { databasePlugin } from './database/plugin.ts';
import { handleErrors, Problem } from './errors.ts';
import { openapi } from './openapi.ts';
import { operationsRoutes } from './operations.ts';
import { postsRoutes } from './posts/routes.ts';
import { Arena } from './strategies/race.ts';
import { explainValidation } from './validation.ts';

/** Connections that the demonstrations leave to everything else. */
const RESERVED_CONNECTIONS = 2;

/** How long a request under way may go on once the service closes, in milliseconds. */
const DRAIN_MS_MAX = 5000;

export interface AppOptions {
  config: Config;
  databaseUrl: string;
  logger?: FastifyBaseLogger | undefined;
}

/**
 * The service, ready to listen or to be asked by `inject`. Its database is open and migrated.
 *
 * @throws {StartupError} when the database cannot be used
 */
export async function buildApp({ config, databaseUrl, logger }: AppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    genReqId: () => randomUUID(),
    // Nothing is dropped in silence: an unknown field is an error, not a wish to ignore.
    ajv: { customOptions: { removeAdditional: false, allErrors: true } },
    schemaErrorFormatter: explainValidation,
  }).withTypeProvider<TypeBoxTypeProvider>();
  handleErrors(app);
  const closing = drainOnClose(app);

  await app.register(databasePlugin, { config, databaseUrl });
  await app.register(fastifyHelmet, {
    // TLS, and with it these two, is for the proxy in front: here they would send browsers to a port that has none.
    hsts: false,
    contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } },
  });
  await app.register(openapi);
  await app.register(operationsRoutes);
  if (config.DEMOS) {
    const arena = new Arena(app.database.sessions, Math.max(2, config.POOL_MAX - RESERVED_CONNECTIONS));
    await app.register(postsRoutes, { arena, closing });
  }
  return app;
}

/**
 * While closing: every answer ends its connection, since one that is kept alive would be waited for, and what
 * still runs after a while is told to stop.
 */
function drainOnClose(app: FastifyInstance): AbortSignal {
  const closing = new AbortController();
  let draining = false;
  app.addHook('preClose', async () => {
    draining = true;
    const stop = () => closing.abort(new Problem('shutting_down', 'the service is shutting down'));
    setTimeout(stop, DRAIN_MS_MAX).unref();
  });
  app.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });
  return closing.signal;
}
