import type { Keyv } from 'keyv';

interface ReadThrough<Value> {
  /** The value from the cache, or from `load`; undefined when there is none. */
  get: (key: string) => Promise<Value | undefined>;
  /** To be called after a write has been committed: the next read loads the value again. */
  forget: (key: string) => Promise<void>;
}

/**
 * Caches plain values: `load` returns the public fields, never an entity. A value is at most `ttlMs` milliseconds old.
 * Missing values are not cached, so that they are seen as soon as they exist, and requests for unknown keys do not fill
 * the cache.
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
