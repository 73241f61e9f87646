import type { FastifyInstance } from 'fastify';
import { Gauge } from 'prom-client';
import { type Risk, risks, type ServerState } from '../database/server-state.ts';

/** If the database does not answer within this time, in milliseconds, its metrics are left out. */
const ASK_MS_MAX = 1000;

/**
 * The state of the database at the time of each scrape: whether it accepts writes, what is not durable there, and how
 * many old row versions vacuum must keep.
 */
export function databaseMetrics(app: FastifyInstance): void {
  // All metrics of a scrape come from one query.
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
      '1: the database accepts no writes (it is a standby, or read-only); missing: it did not answer',
      ({ readOnly }) => (readOnly ? 1 : 0),
    ),
  );
  app.metrics.registerMetric(
    figure(
      'safe_counters_oldest_snapshot_age_transactions',
      'Age of the oldest transaction that a snapshot, a replication slot or a prepared transaction still needs, in transactions',
      ({ oldestSnapshotAge }) => oldestSnapshotAge,
    ),
  );
  app.metrics.registerMetric(
    new Gauge({
      name: 'safe_counters_durability_risk',
      help: `1: the risk applies. ${Object.values(risks).join('; ')}`,
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
