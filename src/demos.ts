import rateLimit from '@fastify/rate-limit';
import type { FastifyPluginAsync } from 'fastify';
import type { Background } from './concurrency/background.ts';
import type { Config } from './config.ts';
import { Problem } from './errors/problem.ts';
import { labsRoutes } from './labs/routes.ts';
import { postsRoutes } from './posts/routes.ts';
import { Arena } from './races/arena.ts';
import { racesRoutes } from './races/routes.ts';
import { strategiesRoutes } from './strategies/http/routes.ts';

export interface DemosOptions {
  config: Config;
  databaseUrl: string;
  closing: AbortSignal;
  background: Background;
}

/** Connections that the demonstrations leave to everything else. */
const RESERVED_CONNECTIONS = 2;

/** The demonstrations of lost updates. The counters do not need any of them. */
export const demos: FastifyPluginAsync<DemosOptions> = async (
  app,
  { config, databaseUrl, closing, background },
) => {
  if (config.DEMO_RATE_LIMIT > 0) {
    await app.register(rateLimit, {
      max: config.DEMO_RATE_LIMIT,
      timeWindow: '1 minute',
      errorResponseBuilder: (_request, { max, after }) =>
        new Problem(
          'too_many_requests',
          `${max} requests a minute are allowed; send the next one in ${after}`,
        ),
    });
    app.addHook('onRoute', (route) => {
      route.config = { ...route.config, problems: [...(route.config?.problems ?? []), 'too_many_requests'] };
    });
  }
  const arena = new Arena(app.database.sessions, config.POOL_MAX - RESERVED_CONNECTIONS, background);
  await app.register(postsRoutes, { arena, closing });
  await app.register(strategiesRoutes, { closing });
  await app.register(racesRoutes, { arena, closing });
  await app.register(labsRoutes, { config, databaseUrl, closing });
};
