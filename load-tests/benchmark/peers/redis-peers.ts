import { randomUUID } from 'node:crypto';
import { Redis, type Result } from 'ioredis';
import { names, type Peer } from './peer.ts';

/** How long a key is stored, in seconds: as long as the counters store theirs. */
const KEY_SECONDS = 24 * 3600;

/** Counts once for each key: for a known key, returns the value of the first answer. */
const INCREMENT_ONCE = `
  local known = redis.call('get', KEYS[2])
  if known then return known end
  local value = redis.call('incr', KEYS[1])
  redis.call('set', KEYS[2], value, 'ex', ARGV[1])
  return value`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    incrementOnce(counter: string, key: string, seconds: number): Result<number | string, Context>;
  }
}

export interface RedisPeers {
  incr: Peer;
  /** The same, with an idempotency key for each increment. */
  keyed: Peer & { incrementOnce(counter: string, key: string): Promise<number> };
  close(): Promise<unknown>;
}

/** One connection that pipelines all commands of one turn of the event loop: the fastest mode of this client. */
export function redisPeers(url: string): RedisPeers {
  const redis = new Redis(url, { enableAutoPipelining: true });
  redis.defineCommand('incrementOnce', { numberOfKeys: 2, lua: INCREMENT_ONCE });
  const sum = async (counters: readonly string[]) => {
    const values = await redis.mget(...counters);
    return values.reduce((all, value) => all + Number(value), 0);
  };
  const incrementOnce = async (counter: string, key: string) =>
    Number(await redis.incrementOnce(counter, `key:${key}`, KEY_SECONDS));
  return {
    incr: { name: names.redis, increment: (counter) => redis.incr(counter), sum },
    keyed: {
      name: names.script,
      increment: (counter) => incrementOnce(counter, randomUUID()),
      incrementOnce,
      sum,
    },
    close: () => redis.quit(),
  };
}
