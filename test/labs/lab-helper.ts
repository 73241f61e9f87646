import type { Client } from 'pg';
import type { Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import type { LabContext } from '../../src/labs/bench/session-options.ts';
import { type Experiment, runExperiment } from '../../src/labs/bench/experiment.ts';
import { testClient, testDatabase } from '../helper.ts';

/** The context of an experiment, on an empty database for this test alone. */
export async function labContext(t: Test, env: NodeJS.ProcessEnv = {}): Promise<LabContext> {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const { signal } = new AbortController();
  return { databaseUrl, config: loadConfig(env), log: { info: () => {}, warn: () => {} }, signal };
}

/** Runs the experiments one after another; asserts that each claim holds and that nothing is left on the server. */
export async function holdAndLeaveNothing(
  t: Test,
  experiments: readonly Experiment[],
  context: LabContext,
): Promise<void> {
  const client = await testClient(t, context.databaseUrl);
  const before = await leftovers(client);
  for (const experiment of experiments) {
    const { holds, figures } = await runExperiment(experiment, context);
    t.ok(holds, `${experiment.name}: ${experiment.claim}`, { figures });
    t.strictSame(await leftovers(client), before, `${experiment.name} leaves nothing behind`);
  }
}

/** Counts the schemas, tables, and other backends with their locks and transactions, in this database. */
export async function leftovers(client: Client): Promise<Record<string, unknown>> {
  const { rows } = await client.query<Record<string, unknown>>(`
    with others as (
      select pid, state from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
    )
    select (select count(*)::int from pg_namespace where nspname like 'lab%') as schemas,
           (select count(*)::int from pg_class where relkind = 'r' and relnamespace >= 16384) as tables,
           (select count(*)::int from others) as connections,
           (select count(*)::int from others where state like 'idle in transaction%') as transactions,
           (select count(*)::int from pg_locks where pid in (select pid from others)) as locks`);
  return rows[0] ?? {};
}
