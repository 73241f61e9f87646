import type { FastifyPluginAsync } from 'fastify';
import { counterRoutes } from './counter-routes.ts';
import type { Counters } from '../counters.ts';
import { readExactJson } from './exact-json.ts';
import { incrementRoutes } from './increment-routes.ts';
import { namesOf } from './sender.ts';

/** The HTTP API of the counters. */
export const countersRoutes: FastifyPluginAsync<{ counters: Counters }> = async (app, { counters }) => {
  // A log line for each request would cost more than the request. Failures are still logged; the metrics count the rest.
  app.addHook('onRoute', (route) => {
    route.logLevel = 'warn';
    route.config = { ...route.config, counters: namesOf };
  });
  readExactJson(app);
  await app.register(incrementRoutes, { counters });
  await app.register(counterRoutes, { counters });
};
