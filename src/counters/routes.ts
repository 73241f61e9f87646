import type { FastifyPluginAsync } from 'fastify';
import type { Background } from '../concurrency/background.ts';
import { counterRoutes } from './counter-routes.ts';
import { readExactJson } from './exact-json.ts';
import { incrementRoutes } from './increment-routes.ts';
import { counterMetrics } from './metrics.ts';
import { CounterReader } from './reader.ts';
import { removeExpiredForEver } from './removal.ts';
import { namesOf } from './request.ts';
import { CounterStore, type StoreOptions } from './store.ts';
import { CounterWatch } from './watch.ts';
import { CounterWriter } from './writer.ts';

export interface CountersOptions {
  /** How long an idempotency key is kept, in hours. */
  keyHours: number;
  /** Requests that wait for their batch at most. */
  queueMax: number;
  /** How long a request waits for a counter that another transaction has locked, in milliseconds. */
  lockedMsMax: number;
  /** How long a statement runs at most, in milliseconds: the wait for a lock has to end before. */
  statementMsMax: number;
  /** How long the outcome of a commit is asked for while no server answers, in milliseconds. */
  settleMsMax: number;
  /** Aborted when the service stops waiting for what is under way. */
  closing: AbortSignal;
  /** What yields to increments. */
  background: Background;
}

/** How long a write waits for a lock at most, in milliseconds. */
const LOCK_MS_MAX = 500;

/** Counters for production: durable, exact, idempotent. */
export const countersRoutes: FastifyPluginAsync<CountersOptions> = async (app, options) => {
  const { keyHours, lockedMsMax, statementMsMax } = options;
  // The wait for a lock ends before the statement does, and leaves time for another attempt.
  const lockMsMax = Math.min(LOCK_MS_MAX, Math.ceil(lockedMsMax / 2), Math.ceil(statementMsMax / 2));
  const storing: StoreOptions = { keyHours, lockMsMax };
  const store = new CounterStore(app.database.counters, storing);
  const reader = new CounterReader(store);
  const watch = new CounterWatch((names) => store.states(names));
  const writer: CounterWriter = new CounterWriter(
    store,
    counterMetrics(app.metrics, {
      waiting: () => writer.waiting,
      quarantined: () => writer.quarantined,
      watchers: () => watch.watchers,
    }),
    options,
  );

  options.background.yieldTo(() => writer.busy);

  // One line for each request costs more than the request. What goes wrong is still logged, and the rest is counted.
  app.addHook('onRoute', (route) => {
    route.logLevel = 'warn';
    route.config = { ...route.config, counters: namesOf };
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
