import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Counters } from '../counters.ts';
import { settlements } from '../lane.ts';
import type { WriterEvents } from '../writer.ts';

/** Registers the metrics of the counters for Prometheus. */
export function counterMetrics(
  register: Registry,
  load: () => Pick<Counters['load'], 'waiting' | 'held' | 'watchers'>,
): WriterEvents {
  const registers = [register];
  const batchSize = new Histogram({
    name: 'safe_counters_batch_size',
    help: 'Increments written by one commit',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    registers,
  });
  const retries = new Counter({
    name: 'safe_counters_batch_retries_total',
    help: 'Retries of batches, by reason (SQLSTATE or kind of failure)',
    labelNames: ['reason'],
    registers,
  });
  const settled = new Counter({
    name: 'safe_counters_lost_answers_total',
    help: 'Commits whose answer was lost, by outcome',
    labelNames: ['outcome'],
    registers,
  });
  const replays = new Counter({
    name: 'safe_counters_idempotent_replays_total',
    help: 'Requests answered from their idempotency key and not counted again',
    registers,
  });
  gauge(
    register,
    'safe_counters_queue_length',
    'Requests that wait for their batch; five increments of a bulk count as one',
    () => load().waiting,
  );
  gauge(
    register,
    'safe_counters_held_requests',
    'Requests that wait for a lock that another transaction may hold',
    () => load().held,
  );
  gauge(register, 'safe_counters_watchers', 'Open event streams', () => load().watchers);
  for (const outcome of settlements) settled.inc({ outcome }, 0);
  return {
    written: (increments) => batchSize.observe(increments),
    retried: (reason) => retries.inc({ reason }),
    settled: (outcome) => settled.inc({ outcome }),
    replayed: () => replays.inc(),
  };
}

/** Registers a gauge whose value is read at each scrape. */
function gauge(register: Registry, name: string, help: string, value: () => number): void {
  const metric = new Gauge({
    name,
    help,
    registers: [],
    collect() {
      this.set(value());
    },
  });
  register.registerMetric(metric);
}
