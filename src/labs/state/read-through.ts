import type { Keyv } from 'keyv';

interface ReadThrough<Value> {
  /** The value from the cache, or from `load`; undefined when there is none. */
  get: (key: string) => Promise<Value | undefined>;
  /** After a write has been committed: the next one who asks reads anew. */
  forget: (key: string) => Promise<void>;
}

/**
 * Caches plain values: `load` makes one of what it read, with the fields and forms that callers may see, and no
 * entity. A value is at most `ttlMs` milliseconds old. What does not exist is not cached, so it is seen as soon as it
 * does, and asking for names that nobody has does not fill the cache.
 */
export function readThrough<Value extends object>(
  cache: Keyv,
  ttlMs: number,
  load: (key: string) => Promise<Value | undefined>,
): ReadThrough<Value> {
  return {
    async get(key) {
      const known = await cache.get<Value>(key);
      if (known !== undefined) return known;
      const value = await load(key);
      if (value !== undefined) await cache.set(key, value, ttlMs);
      return value;
    },
    async forget(key) {
      await cache.delete(key);
    },
  };
}
