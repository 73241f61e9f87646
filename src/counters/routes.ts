import type { FastifyPluginAsync } from 'fastify';
import { readExactJson } from './exact-json.ts';
import { counterRoutes } from './counter-routes.ts';
import { incrementRoutes } from './increment-routes.ts';
import { counterMetrics } from './metrics.ts';
import { CounterReader } from './reader.ts';
import { removeExpiredForEver } from './removal.ts';
import { CounterStore } from './store.ts';
import { CounterWatch } from './watch.ts';
import { CounterWriter } from './writer.ts';

export interface CountersOptions {
  /** How long an idempotency key is kept, in hours. */
  keyHours: number;
  /** Increments that wait for their batch at most. */
  queueMax: number;
}

/** Counters for production: durable, exact, idempotent. */
export const countersRoutes: FastifyPluginAsync<CountersOptions> = async (app, options) => {
  const store = new CounterStore(app.database.sessions, options.keyHours);
  const reader = new CounterReader(store);
  const watch = new CounterWatch((names) => store.values(names));
  const writer: CounterWriter = new CounterWriter(
    store,
    counterMetrics(app.metrics, { waiting: () => writer.waiting, watchers: () => watch.watchers }),
    { queueMax: options.queueMax },
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
