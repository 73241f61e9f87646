import { pino } from 'pino';
import { buildApp } from '../../../src/app.ts';
import { loadConfig } from '../../../src/config.ts';
import { keyOf } from '../../../src/counters/http/sender.ts';
import { logStream } from '../../../src/log-stream.ts';
import { sameRoute } from '../http/same-route.ts';
import { postgresPeers } from './postgres-peers.ts';
import { redisPeers } from './redis-peers.ts';

/** The service, with additional routes for the alternatives that have the same checks. */
const config = loadConfig();
const log = pino({ level: config.LOG_LEVEL }, await logStream());
const app = await buildApp({ config, databaseUrl: config.DATABASE_URL ?? '', logger: log });
const redis = redisPeers(config.REDIS_URL ?? '');
const postgres = await postgresPeers(config.DATABASE_URL ?? '');
app.addHook('onClose', async () => {
  await Promise.all([redis.close(), postgres.close()]);
});

sameRoute(app, '/redis/:name/increments', (name) => redis.incr.increment(name));
sameRoute(app, '/redis-keyed/:name/increments', (name, _by, headers) =>
  redis.keyed.incrementOnce(name, keyOf({ headers }) ?? ''),
);
sameRoute(app, '/upsert/:name/increments', (name) => postgres.upsert.increment(name));
sameRoute(app, '/limiter/:name/increments', (name) => postgres.limiter.increment(name));

process.once('SIGTERM', () => void app.close());
log.info(`ready: ${await app.listen({ host: config.HOST, port: config.PORT })}`);
