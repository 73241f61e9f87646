import { loadConfig } from '../../src/config.ts';
import { COUNTER_CONNECTIONS } from '../../src/counters/counters.ts';
import { migrateCounters } from '../../src/counters/migration.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import type { Sessions } from '../../src/database/sessions.ts';
import { probeSessions } from '../../src/database/settings.ts';
import { quiet } from './own-database.ts';

/** The schema of the counters in measurements: the service's default. */
export const SCHEMA = 'safe_counters';

/** The counters' connections and statements without HTTP, configured as in the service. The tables are created if missing. */
export async function ownCounters(
  databaseUrl: string,
  { lockMsMax = 500 } = {},
): Promise<{ sessions: Sessions; store: CounterStore }> {
  const config = { ...loadConfig({}), POOL_MAX: COUNTER_CONNECTIONS };
  const connection = driverFor(databaseUrl);
  const session = await probeSessions(connection, config, () => {});
  const sessions = openCounterSessions(connection, { config, log: quiet, session });
  await migrateCounters(sessions, SCHEMA);
  return { sessions, store: new CounterStore(sessions, { keyHours: 24, lockMsMax, schema: SCHEMA }) };
}
