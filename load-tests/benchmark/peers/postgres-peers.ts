import { Pool } from 'pg';
import { RateLimiterPostgres } from 'rate-limiter-flexible';
import { names, type Peer } from './peer.ts';

export interface PostgresPeers {
  upsert: Peer;
  limiter: Peer;
  close(): Promise<void>;
}

/** The size of the pool: the service's default. */
const POOL_MAX = 10;

const UPSERT = {
  name: 'peers-upsert',
  text: `insert into peer_upserts as p (name, value) values ($1, 1)
         on conflict (name) do update set value = p.value + 1 returning value`,
};

/** A handwritten upsert, and a library that counts requests in PostgreSQL, each with its own table. */
export async function postgresPeers(databaseUrl: string): Promise<PostgresPeers> {
  const pool = new Pool({ connectionString: databaseUrl, max: POOL_MAX });
  await pool.query('create table if not exists peer_upserts (name text primary key, value bigint not null)');
  const limiter = await openLimiter(pool);
  const sumOf = (text: string) => async (counters: readonly string[]) => {
    const { rows } = await pool.query<{ sum: string }>(text, [counters]);
    return Number(rows[0]?.sum);
  };
  return {
    upsert: {
      name: names.upsert,
      increment: async (counter) => {
        const { rows } = await pool.query<{ value: string }>({ ...UPSERT, values: [counter] });
        return Number(rows[0]?.value);
      },
      sum: sumOf('select coalesce(sum(value), 0) as sum from peer_upserts where name = any($1)'),
    },
    limiter: {
      name: names.limiter,
      increment: async (counter) => (await limiter.consume(counter)).consumedPoints,
      sum: sumOf('select coalesce(sum(points), 0) as sum from peer_limits where key = any($1)'),
    },
    close: () => pool.end(),
  };
}

/** A limiter without a limit and without expiry, so that it only counts. */
function openLimiter(pool: Pool): Promise<RateLimiterPostgres> {
  const { promise, resolve, reject } = Promise.withResolvers<RateLimiterPostgres>();
  const limiter = new RateLimiterPostgres(
    {
      storeClient: pool,
      tableName: 'peer_limits',
      keyPrefix: '',
      points: Number.MAX_SAFE_INTEGER,
      duration: 0,
      clearExpiredByTimeout: false,
    },
    (error?: Error) => (error ? reject(error) : resolve(limiter)),
  );
  return promise;
}
