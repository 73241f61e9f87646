import type { FastifyInstance } from 'fastify';
import { Gauge } from 'prom-client';
import { ask } from '../database/plugin.ts';
import { type Risk, risks } from '../database/server-state.ts';

/** A database that takes longer than this to answer leaves its figures out, in milliseconds. */
const ASK_MS_MAX = 1000;

/** What the database says of itself when Prometheus asks: what is not durable there, and what vacuum must keep. */
export function databaseMetrics(app: FastifyInstance): void {
  const oldest = new Gauge({
    name: 'safe_counters_oldest_snapshot_age_transactions',
    help: 'Transactions since the oldest one that a snapshot, a slot or a prepared transaction may still see',
    registers: [],
  });
  const risk = new Gauge({
    name: 'safe_counters_durability_risk',
    help: `1: acknowledged increments can be lost. ${Object.values(risks).join('; ')}`,
    labelNames: ['risk'],
    registers: [],
    async collect() {
      this.reset();
      oldest.reset();
      const state = await ask(app.database, ASK_MS_MAX).catch(() => undefined);
      if (!state) return;
      for (const name of Object.keys(risks) as Risk[])
        this.set({ risk: name }, state.risks.includes(name) ? 1 : 0);
      if (state.oldestSnapshotAge !== undefined) oldest.set(state.oldestSnapshotAge);
    },
  });
  app.metrics.registerMetric(risk);
  app.metrics.registerMetric(oldest);
}
