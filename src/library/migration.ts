import { steps } from '../counters/tables.ts';
import { unsuitableEncoding } from '../database/encoding.ts';
import type { Sessions } from '../database/sessions.ts';

/** The key of the advisory lock: an arbitrary number that no other program uses. */
const MIGRATION_LOCK = 4_157_112_105;

/** The table of the steps that were applied to a schema, one row for each. */
const STEPS =
  'create table if not exists migration_steps (step integer primary key, applied_at timestamptz not null default now())';

/**
 * Brings the tables in `schema` up to date, and creates the schema if it does not exist. Of several processes that do so
 * at the same time, one migrates and the others wait. If the tables are up to date, the right to read them is enough.
 */
export const migrate = (sessions: Sessions, schema: string): Promise<void> =>
  sessions.withSession(async () => {
    const [row] = await run<{ encoding: string }>(
      sessions,
      `select current_setting('server_encoding') as encoding`,
    );
    const unsuitable = unsuitableEncoding(row?.encoding ?? '');
    if (unsuitable) throw new Error(unsuitable);
    if ((await countAppliedSteps(sessions, schema)) >= steps.length) return;
    // All settings are local to the transaction, so that the connection is returned unchanged.
    await run(sessions, 'begin isolation level read committed');
    await run(sessions, `set local lock_timeout = '10s'`);
    await run(sessions, `select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    if (!(await exists(sessions, 'to_regnamespace', schema)))
      await run(sessions, `create schema "${schema}"`);
    await run(sessions, `set local search_path to "${schema}"`);
    await run(sessions, STEPS);
    const applied = await countAppliedSteps(sessions, schema);
    for (const [i, step] of steps.entries()) {
      if (i < applied) continue;
      for (const sql of step) await run(sessions, sql);
      await run(sessions, 'insert into migration_steps (step) values ($1)', [i + 1]);
    }
    await run(sessions, 'commit');
  });

async function countAppliedSteps(sessions: Sessions, schema: string): Promise<number> {
  const table = `"${schema}".migration_steps`;
  if (!(await exists(sessions, 'to_regclass', table))) return 0;
  const [row] = await run<{ count: number }>(sessions, `select count(*)::int as count from ${table}`);
  return row?.count ?? 0;
}

async function exists(sessions: Sessions, lookUp: 'to_regnamespace' | 'to_regclass', name: string) {
  // A row or none, and no boolean, which an application may have configured the driver not to parse.
  return (await run(sessions, `select where ${lookUp}($1) is not null`, [name])).length > 0;
}

async function run<Row extends object>(sessions: Sessions, text: string, values: readonly unknown[] = []) {
  return (await sessions.query<Row>({ name: '', text, values })).rows;
}
