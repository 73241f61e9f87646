import { Keyv } from 'keyv';
import { codeOf } from '../../errors/caught.ts';
import { StartupError } from '../../errors/startup-error.ts';
import type { Scratch } from '../bench/scratch.ts';

/** Timeout for connecting to Redis, in milliseconds. */
const CONNECT_MS_MAX = 2000;

export interface Cache {
  keyv: Keyv;
  /** The store behind it. */
  kind: 'redis' | 'process';
}

/**
 * The client for Redis, an optional package.
 *
 * @throws {StartupError} when it is not installed
 */
export async function importRedis() {
  try {
    return (await import('@keyv/redis')).default;
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new StartupError(
      'REDIS_URL is set, but the optional package @keyv/redis is not installed: install it, or unset REDIS_URL',
      { cause: error },
    );
  }
}

/**
 * Runs `work` with a cache: Redis if REDIS_URL is set, otherwise a map in this process, with the same interface and the
 * same JSON inside. Its keys belong to this run and are removed afterwards.
 *
 * @throws when Redis cannot be reached, or its client is not installed
 */
export async function withCache<T>(scratch: Scratch, work: (cache: Cache) => Promise<T>): Promise<T> {
  const { REDIS_URL } = scratch.context.config;
  const namespace = scratch.schema;
  const store = REDIS_URL
    ? new (await importRedis())(
        { url: REDIS_URL, socket: { connectTimeout: CONNECT_MS_MAX, reconnectStrategy: false } },
        { throwOnConnectError: true, throwOnErrors: true, connectionTimeout: CONNECT_MS_MAX },
      )
    : new Map();
  const keyv = new Keyv({ store, namespace, throwOnErrors: true });
  // Without a listener, the event would end the process. The failed call throws by itself.
  keyv.on('error', () => {});
  try {
    return await work({ keyv, kind: REDIS_URL ? 'redis' : 'process' });
  } finally {
    try {
      await keyv.clear();
    } finally {
      await keyv.disconnect();
    }
  }
}
