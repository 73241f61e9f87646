import { unsuitableEncoding } from '../database/encoding.ts';
import { quoted } from '../database/schema.ts';
import type { Send, Sessions } from '../database/sessions.ts';
import { StartupError } from '../errors/startup-error.ts';
import { statementsIn } from './sql.ts';
import { TABLES_VERSION, tablesIn } from './tables.ts';
import { oldTables, type Run, setAside, takeOver } from './takeover.ts';

/** The key of the advisory lock: an arbitrary number that no other program uses. */
const MIGRATION_LOCK = 4_157_112_105;

/** How long to wait for a lock, in milliseconds: another process may be migrating. */
const LOCK_MS_MAX = 60_000;

/**
 * Brings the tables of the counters in `schema` up to date, and creates the schema if it does not exist, in one transaction.
 * Of several processes that do so at the same time, one migrates and the others wait. The data of earlier versions, whose
 * tables were in `public`, is taken over. If the tables are up to date, the right to read them is enough.
 *
 * @param sessions with time limits that are long enough to copy the tables
 * @returns what was done, in lines for the log
 * @throws {StartupError} when the data of an earlier version cannot be taken over
 * @throws the error of the database when the tables cannot be created
 */
export const migrateCounters = (sessions: Pick<Sessions, 'transaction'>, schema: string): Promise<string[]> =>
  sessions.transaction(async (send) => {
    const run = runWith(send);
    await run(
      `begin isolation level read committed; set local lock_timeout = ${LOCK_MS_MAX}; set local search_path = pg_catalog;
       set local standard_conforming_strings = on`,
    );
    const [row] = await run<{ encoding: string }>(`select current_setting('server_encoding') as encoding`);
    const unsuitable = unsuitableEncoding(row?.encoding ?? '');
    if (unsuitable) throw new StartupError(unsuitable);
    const isCurrent = async () => (await versionOf(run, schema)) >= TABLES_VERSION;
    if ((await isCurrent()) && (await oldTables(run, schema)).length === 0) {
      // Tells which table is missing: the data of a table that was dropped cannot be restored here.
      await run(statementsIn(schema).version.text);
      return [];
    }
    await run('select pg_advisory_xact_lock($1::bigint)', [MIGRATION_LOCK]);
    const old = await oldTables(run, schema);
    const done: string[] = [];
    if (!(await isCurrent())) {
      for (const [i, one] of old.entries()) old[i] = await setAside(run, one);
      if ((await run('select where to_regnamespace($1::text) is not null', [quoted(schema)])).length === 0)
        await run(`create schema ${quoted(schema)}`);
      for (const sql of tablesIn(schema)) await run(sql);
      done.push(`created the tables of the counters in the schema ${schema}`);
    }
    for (const one of old) done.push(await takeOver(run, one, schema));
    await run('commit');
    return done;
  });

/** @returns the version of the tables in the schema; 0: there are none, or those of an earlier version */
async function versionOf(run: Run, schema: string): Promise<number> {
  const table = `${quoted(schema)}.migrations`;
  if ((await run('select where to_regclass($1::text) is not null', [table])).length === 0) return 0;
  const [row] = await run<{ version: string }>(
    `select coalesce(max(version), 0)::text as version from ${table}`,
  );
  return Number(row?.version);
}

const runWith =
  (send: Send): Run =>
  async (text, values = []) => {
    const [result] = await send([{ name: '', text, values }]);
    return (result?.rows ?? []) as never[];
  };
