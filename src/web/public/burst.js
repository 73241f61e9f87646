// @ts-check
import { post, Refusal, request } from './api.js';
import { pause, whenBack } from './connection.js';

/** What a browser sends to one host at a time; more would only wait in the browser. */
const AT_ONCE = 6;
const ATTEMPTS_MAX = 6;
const WAIT_MS_MAX = 5000;

/** What says that it may work later; with its key a like counts once, however often it is sent. */
const LATER = [0, 429, 503, 504];

/**
 * Sends likes, as many at once as a browser does, and again what was refused for now.
 *
 * @param {string} path
 * @param {number} likes
 * @param {(counted: number) => void} onProgress
 */
export async function fireLikes(path, likes, onProgress) {
  const result = { counted: 0, failed: 0, again: 0, ms: 0, why: '', commits: /** @type {number | undefined} */ (undefined) };
  const name = Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join('');
  const before = await commitsSoFar();
  const startedAt = performance.now();
  let next = 0;
  const sender = async () => {
    while (next < likes) {
      next += 1;
      if (await send(path, `${name}-${next}`, result)) result.counted += 1;
      else result.failed += 1;
      onProgress(result.counted);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  result.ms = performance.now() - startedAt;
  const after = await commitsSoFar();
  if (before !== undefined && after !== undefined && after >= before) result.commits = after - before;
  return result;
}

/** @param {string} path @param {string} key @param {{ again: number, why: string }} result */
async function send(path, key, result) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await post(path, { by: 1 }, { 'idempotency-key': key });
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === 'unauthorized') throw error;
      result.why = error.message;
      if (!LATER.includes(error.status) || attempt >= ATTEMPTS_MAX) return false;
      result.again += 1;
      await whenBack();
      // Not all at the same moment.
      await pause(Math.min(WAIT_MS_MAX, (error.retryAfterS ?? 0.5) * 1000) * (0.5 + Math.random() / 2));
    }
  }
}

/** How many commits the service has counted in, by its own metrics; undefined where it does not say. */
async function commitsSoFar() {
  try {
    const text = await (await request('/metrics')).text();
    const counts = [...text.matchAll(/^safe_counters_batch_size_count(?:\{[^}]*\})? (\S+)/gm)];
    return counts.length > 0 ? counts.reduce((sum, [, value]) => sum + Number(value), 0) : undefined;
  } catch {
    return undefined;
  }
}
