import type { FastifyPluginAsync } from 'fastify';
import type { Config } from '../config.ts';
import { readExactJson } from '../exact-json.ts';
import { counterRoutes } from './counter-routes.ts';
import { incrementRoutes } from './increment-routes.ts';
import { counterMetrics } from './metrics.ts';
import { CounterReader } from './reader.ts';
import { removeExpiredForEver } from './removal.ts';
import { CounterStore } from './store.ts';
import { CounterWatch } from './watch.ts';
import { CounterWriter } from './writer.ts';

/** Counters for production: durable, exact, idempotent. */
export const countersRoutes: FastifyPluginAsync<{ config: Config }> = async (app, { config }) => {
  const store = new CounterStore(app.database.sessions, config.IDEMPOTENCY_KEY_HOURS);
  const reader = new CounterReader(store);
  const watch = new CounterWatch((names) => store.values(names));
  const writer: CounterWriter = new CounterWriter(
    store,
    counterMetrics(app.metrics, { waiting: () => writer.waiting, watchers: () => watch.watchers }),
  );

  // One line for each request costs more than the request. What goes wrong is still logged, and the rest is counted.
  app.addHook('onRoute', (route) => {
    route.logLevel = 'warn';
  });
  readExactJson(app);
  await app.register(incrementRoutes, { writer });
  await app.register(counterRoutes, { reader, watch });

  const closing = new AbortController();
  const removing = removeExpiredForEver(store, closing.signal, (message) => app.log.warn(message));
  app.addHook('preClose', async () => {
    watch.close();
    closing.abort();
  });
  app.addHook('onClose', async () => {
    await writer.drain();
    await removing;
  });
};
