import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { Background } from './concurrency/background.ts';
import { requireTokens } from './http/authorization.ts';
import { callersOf } from './http/caller.ts';
import type { Config } from './config.ts';
import { COUNTER_CONNECTIONS, Counters } from './counters/counters.ts';
import { counterMetrics } from './counters/http/metrics.ts';
import { databasePlugin } from './database/plugin.ts';
import { demos } from './demos.ts';
import { databaseMetrics } from './http/database-metrics.ts';
import { drainOnClose } from './http/drain.ts';
import { entities } from './entities.ts';
import { messageOf } from './errors/caught.ts';
import { StartupError } from './errors/startup-error.ts';
import { boundedServer, connectionBounds } from './http/connections.ts';
import { checkHost } from './http/host.ts';
import { handleClientError, handleErrors, handleFrameworkError } from './http/error-handler.ts';
import { metrics } from './http/metrics.ts';
import { refuseOtherOrigins } from './http/origin.ts';
import { openapi } from './http/openapi.ts';
import { operationsRoutes } from './http/operations.ts';
import { addSecurityHeaders, securityHeaders } from './http/security-headers.ts';
import { trustedProxies } from './http/trusted-proxies.ts';
import { refuseUnread } from './http/unread.ts';
import { compileValidator, explainValidation } from './http/validation.ts';
import countersPlugin from './library/fastify.ts';
import { migrateAll } from './migrations.ts';
import { webRoutes } from './web/routes.ts';

/** The length of a name of 200 characters with four bytes each, each byte written as %xx. */
const PARAM_LENGTH_MAX = 200 * 4 * 3;

export interface AppOptions {
  config: Config;
  databaseUrl: string;
  logger?: FastifyBaseLogger | undefined;
}

/**
 * Builds the service, ready to listen or to be called with `inject`. Its database is open and migrated.
 *
 * @throws {StartupError} when the database, or the file of tokens, cannot be used
 */
export async function buildApp({ config, databaseUrl, logger }: AppOptions): Promise<FastifyInstance> {
  const callers = callersOf(config);
  const app = Fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    genReqId: () => randomUUID(),
    schemaErrorFormatter: explainValidation,
    frameworkErrors: (error, request, reply) => {
      handleFrameworkError(error, request, reply.headers(securityHeaders));
    },
    clientErrorHandler: handleClientError,
    serverFactory: boundedServer(connectionBounds),
    // No limit here: waiting for the migrations of another process takes longer, and has its own limit.
    pluginTimeout: 0,
    trustProxy: trustedProxies(config.TRUST_PROXY) ?? false,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(compileValidator);
  handleErrors(app);

  await app.register(databasePlugin, {
    config,
    databaseUrl,
    entities,
    migrate: async (session, log) => {
      if (config.MIGRATE) await migrateAll(databaseUrl, config, log, session);
    },
    counterConnections: COUNTER_CONNECTIONS,
  });
  /*
   * The order of the hooks of a request. Fastify runs those of the application in the order of these calls, and then those of
   * its route; what a call adds to routes (`onRoute`) concerns only the routes that are registered after it.
   *
   * | hook       | what runs, in this order                                                                                |
   * |------------|---------------------------------------------------------------------------------------------------------|
   * | onRequest  | counted as open (drain), security headers, duration (metrics), host, what would not be read (unread)    |
   * |            | of routes that write: origin, token and quota (authorization); of increments: a full queue              |
   * | (body)     | parsed, by the routes of the counters without rounding (exact-json), and validated                      |
   * | preHandler | of routes that write: the names that the token allows                                                   |
   * | onSend     | `connection: close` while the service closes (drain)                                                    |
   * | preClose   | the deadline of requests in flight (drain, counters)                                                    |
   * | onClose    | in the reverse order of registration: the counters, the last answers (drain), the database              |
   */
  const closing = drainOnClose(app);
  addSecurityHeaders(app);
  await app.register(metrics);
  databaseMetrics(app);
  requireTokens(app, callers);
  refuseOtherOrigins(app);
  checkHost(app, config.HOST, config.ALLOWED_HOSTS);
  refuseUnread(app);
  await app.register(openapi, { secured: callers.size > 0 });
  const counters = countersOf(app, config);
  if (!config.MIGRATE) await assertTables(counters);
  await app.register(operationsRoutes, { check: () => counters.check() });
  const background = new Background();
  background.yieldTo(() => counters.load.busy);
  // Requests are authenticated by `requireTokens`.
  await app.register(countersPlugin, { counters, routes: { onRequest: [] } });
  if (config.DEMOS) {
    await app.register(demos, { config, databaseUrl, closing, background });
    await app.register(webRoutes);
  } else {
    app.get('/', { schema: { hide: true }, handler: (_request, reply) => reply.redirect('/docs') });
  }
  return app;
}

/** The counters, which have their own connections. */
function countersOf(app: FastifyInstance, config: Config): Counters {
  const counters: Counters = new Counters(app.database.counters, {
    keyHours: config.IDEMPOTENCY_KEY_HOURS,
    queueMax: config.COUNTER_QUEUE_MAX,
    lockedMsMax: config.LOCK_TIMEOUT_MS,
    statementMsMax: config.STATEMENT_TIMEOUT_MS,
    settleMsMax: config.FAILOVER_TIMEOUT_MS,
    schema: config.DATABASE_SCHEMA,
    warn: (message) => app.log.warn(message),
    events: counterMetrics(app.metrics, () => counters.load),
  });
  return counters;
}

/** @throws {StartupError} when the tables are missing, or of another version */
async function assertTables(counters: Counters): Promise<void> {
  try {
    await counters.check();
  } catch (error) {
    throw new StartupError(
      `${messageOf(error)}; run \`npm run migrate\` with a role that may create tables (MIGRATE is false)`,
      {
        cause: error,
      },
    );
  }
}
