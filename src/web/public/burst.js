// @ts-check
import { post, Refusal, request } from './api.js';
import { pause, whenAvailable } from './connection.js';

/** Likes per request: a browser opens at most six connections to a host, so single likes would queue in the browser. */
const LIKES_PER_REQUEST = 10;
const ATTEMPTS_MAX = 6;
const WAIT_MS_MAX = 5000;

/** Statuses after which a retry can succeed (0: no answer). The key makes a request count once, however often it is sent. */
const RETRYABLE = new Set([0, 429, 503, 504]);

/** @typedef {{ counted: number, failed: number, retries: number, requests: number, ms: number, why: string, commits?: number }} Burst */

/**
 * Sends likes, as many at once as the browser allows, and retries the requests that may succeed later.
 *
 * @param {string} name of the counter
 * @param {number} likes
 * @param {(burst: Burst) => void} onProgress
 * @returns {Promise<Burst>}
 */
export async function fireLikes(name, likes, onProgress) {
  /** @type {Burst} */
  const burst = { counted: 0, failed: 0, retries: 0, requests: 0, ms: 0, why: '' };
  const id = Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join('');
  const before = await commitsSoFar();
  const startedAt = performance.now();
  const sent = Array.from({ length: likes / LIKES_PER_REQUEST }, async (_, i) => {
    const items = Array.from({ length: LIKES_PER_REQUEST }, () => ({ name, by: 1 }));
    const counted = await send(items, `${id}-${i}`, burst);
    burst[counted ? 'counted' : 'failed'] += LIKES_PER_REQUEST;
    onProgress(burst);
  });
  await Promise.all(sent);
  burst.ms = performance.now() - startedAt;
  const after = await commitsSoFar();
  if (before !== undefined && after !== undefined && after >= before) burst.commits = after - before;
  return burst;
}

/** @param {object[]} items @param {string} key @param {Burst} burst */
async function send(items, key, burst) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      burst.requests += 1;
      await post('/increments', items, { 'idempotency-key': key });
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === 'unauthorized') throw error;
      burst.why = error.message;
      if (!RETRYABLE.has(error.status) || attempt >= ATTEMPTS_MAX) return false;
      burst.retries += 1;
      await whenAvailable();
      // Jitter, so that the requests are not all retried at the same moment.
      await pause(Math.min(WAIT_MS_MAX, (error.retryAfterS ?? 0.5) * 1000) * (0.5 + Math.random() / 2));
    }
  }
}

/** How many commits the counters have made, according to the service's metrics; undefined if they are not available. */
async function commitsSoFar() {
  try {
    const text = await (await request('/metrics')).text();
    const counts = [...text.matchAll(/^safe_counters_batch_size_count(?:\{[^}]*\})? (\S+)/gm)];
    return counts.length > 0 ? counts.reduce((sum, [, value]) => sum + Number(value), 0) : undefined;
  } catch {
    return undefined;
  }
}
