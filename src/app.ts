import { randomUUID } from 'node:crypto';
import fastifyHelmet from '@fastify/helmet';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import { databasePlugin } from './database/plugin.ts';
import { drainOnClose } from './drain.ts';
import { entities } from './entities.ts';
import { handleClientError, handleErrors, handleFrameworkError } from './errors.ts';
import { labsRoutes } from './labs/routes.ts';
import { openapi } from './openapi.ts';
import { operationsRoutes } from './operations.ts';
import { postsRoutes } from './posts/routes.ts';
import { Arena } from './races/arena.ts';
import { racesRoutes } from './races/routes.ts';
import { strategiesRoutes } from './strategies/routes.ts';
import { explainValidation } from './validation.ts';
import { webRoutes } from './web/routes.ts';

/** For a request to arrive, in milliseconds. */
const REQUEST_MS_MAX = 30_000;

/** Connections that the demonstrations leave to everything else. */
const RESERVED_CONNECTIONS = 2;

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
    frameworkErrors: handleFrameworkError,
    clientErrorHandler: handleClientError,
    // For the request to arrive, not for its answer: a slow sender does not hold a connection for ever.
    requestTimeout: REQUEST_MS_MAX,
    // Waiting for another process to migrate has a limit of its own, and a longer one.
    pluginTimeout: 0,
  }).withTypeProvider<TypeBoxTypeProvider>();
  handleErrors(app);
  const closing = drainOnClose(app);

  await app.register(databasePlugin, { config, databaseUrl, entities });
  await app.register(fastifyHelmet, {
    // TLS, and with it these two, is for the proxy in front: here they would send browsers to a port that has none.
    hsts: false,
    contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } },
  });
  await app.register(openapi);
  await app.register(operationsRoutes);
  if (config.DEMOS) {
    const arena = new Arena(app.database.sessions, config.POOL_MAX - RESERVED_CONNECTIONS);
    await app.register(postsRoutes, { arena, closing });
    await app.register(strategiesRoutes, { closing });
    await app.register(racesRoutes, { arena, closing });
    await app.register(labsRoutes, { config, databaseUrl, closing });
    await app.register(webRoutes);
  } else {
    app.get('/', { schema: { hide: true }, handler: (_request, reply) => reply.redirect('/docs') });
  }
  await app.ready();
  return app;
}
