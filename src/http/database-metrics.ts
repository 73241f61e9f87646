import type { FastifyInstance } from 'fastify';
import { Gauge } from 'prom-client';
import { type Risk, risks, type ServerState } from '../database/server-state.ts';

/** A database that takes longer than this to answer leaves its figures out, in milliseconds. */
const ASK_MS_MAX = 1000;

/**
 * What the database says of itself when Prometheus asks: whether it takes writes, what is not durable there, and what
 * vacuum must keep.
 */
export function databaseMetrics(app: FastifyInstance): void {
  // All figures of one answer are of one question.
  let asked: Promise<ServerState | undefined> | undefined;
  const state = () =>
    (asked ??= app.database.server
      .ask(ASK_MS_MAX)
      .catch(() => undefined)
      .finally(() => {
        asked = undefined;
      }));
  const figure = (name: string, help: string, value: (state: ServerState) => number | undefined) =>
    new Gauge({
      name,
      help,
      registers: [],
      async collect() {
        const now = await state();
        const known = now && value(now);
        if (known === undefined) this.remove();
        else this.set(known);
      },
    });
  app.metrics.registerMetric(
    figure(
      'safe_counters_database_read_only',
      '1: the database takes no writes, as a standby; missing: it did not answer',
      ({ readOnly }) => (readOnly ? 1 : 0),
    ),
  );
  app.metrics.registerMetric(
    figure(
      'safe_counters_oldest_snapshot_age_transactions',
      'Transactions since the oldest one that a snapshot, a slot or a prepared transaction may still see',
      ({ oldestSnapshotAge }) => oldestSnapshotAge,
    ),
  );
  app.metrics.registerMetric(
    new Gauge({
      name: 'safe_counters_durability_risk',
      help: `1: acknowledged increments can be lost. ${Object.values(risks).join('; ')}`,
      labelNames: ['risk'],
      registers: [],
      async collect() {
        const now = await state();
        this.reset();
        if (!now) return;
        for (const name of Object.keys(risks) as Risk[])
          this.set({ risk: name }, now.risks.includes(name) ? 1 : 0);
      },
    }),
  );
}
