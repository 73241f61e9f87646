import type { FastifyPluginAsync } from 'fastify';
import { counterRoutes } from './counter-routes.ts';
import type { Counters } from './counters.ts';
import { readExactJson } from './exact-json.ts';
import { incrementRoutes } from './increment-routes.ts';
import { namesOf } from './request.ts';

/** Counters for production, over HTTP. */
export const countersRoutes: FastifyPluginAsync<{ counters: Counters }> = async (app, { counters }) => {
  // One line for each request costs more than the request. What goes wrong is still logged, and the rest is counted.
  app.addHook('onRoute', (route) => {
    route.logLevel = 'warn';
    route.config = { ...route.config, counters: namesOf };
  });
  readExactJson(app);
  const { writer, reader, watch, ask, keyHours } = counters;
  await app.register(incrementRoutes, { writer });
  await app.register(counterRoutes, { reader, watch, ask, keyHours });
};
