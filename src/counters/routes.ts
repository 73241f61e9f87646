import type { FastifyPluginAsync } from 'fastify';
import { counterRoutes } from './counter-routes.ts';
import type { Counters } from './counters.ts';
import { readExactJson } from './exact-json.ts';
import { incrementRoutes } from './increment-routes.ts';
import { namesOf } from './request.ts';

/** The HTTP API of the counters. */
export const countersRoutes: FastifyPluginAsync<{ counters: Counters }> = async (app, { counters }) => {
  // A log line for each request would cost more than the request. Failures are still logged; the metrics count the rest.
  app.addHook('onRoute', (route) => {
    route.logLevel = 'warn';
    route.config = { ...route.config, counters: namesOf };
  });
  readExactJson(app);
  const { writer, reader, watch, ask, keyHours } = counters;
  await app.register(incrementRoutes, { writer });
  await app.register(counterRoutes, { reader, watch, ask, keyHours });
};
