import { pino } from 'pino';
import { buildApp } from '../../../src/app.ts';
import { loadConfig } from '../../../src/config.ts';
import { logStream } from '../../../src/log-stream.ts';
import { SCHEMA } from '../../shared/own-counters.ts';
import { sameRoute } from './same-route.ts';

/** The routes to compare the counters with: in the same app, with the same checks and log level. */
const config = loadConfig();
const log = pino({ level: config.LOG_LEVEL }, await logStream());
const app = await buildApp({ config, databaseUrl: config.DATABASE_URL ?? '', logger: log });
const { sessions } = app.database;
const table = `${SCHEMA}.counters`;

sameRoute(app, '/noop/:name/increments', async () => 1);

sameRoute(app, '/update/:name/increments', async (name, by) => {
  const { rows } = await sessions.query<{ value: string }>({
    name: 'benchmark-update',
    text: `insert into ${table} as c (name, value) values ($1, $2)
           on conflict (period, name, starts_at) do update set value = c.value + excluded.value returning value`,
    values: [name, by],
  });
  return Number(rows[0]?.value);
});

/** The usual form: a transaction that locks, reads and writes. */
sameRoute(app, '/lock/:name/increments', (name, by) =>
  app.database.orm.em.fork().transactional(async (em) => {
    const rows = await em.execute<{ value: string }[]>(
      `select value from ${table} where period = '' and name = ? for update`,
      [name],
    );
    const value = Number(rows[0]?.value ?? 0) + by;
    if (rows[0])
      await em.execute(`update ${table} set value = ? where period = '' and name = ?`, [value, name]);
    else
      await em.execute(`insert into ${table} (name, value) values (?, ?) on conflict do nothing`, [
        name,
        value,
      ]);
    return value;
  }),
);

process.once('SIGTERM', () => void app.close());
log.info(`ready: ${await app.listen({ host: config.HOST, port: config.PORT })}`);
