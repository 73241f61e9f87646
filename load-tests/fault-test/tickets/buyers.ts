import { setTimeout } from 'node:timers/promises';
import type { Add } from '../../../src/concurrency/history.ts';
import { longer, PATIENT_MS, PAUSE_MS_MIN } from '../callers/exchange.ts';
import type { HttpClient } from '../callers/http-client.ts';
import { pick, type Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** How long a buyer asks at most, in milliseconds: longer than a replica takes to be back. */
const BUYING_MS_MAX = 120_000;

export interface Shop {
  replicas: readonly Replica[];
  client: HttpClient;
  random: Random;
  signal: AbortSignal;
}

/**
 * Buys one piece of the counter under a key, from whichever replica answers: again until it is sold or sold out.
 *
 * @returns the whole of it, from the first call to the last answer; its outcome is unknown if that took too long
 */
export async function buy(
  { replicas, client, random, signal }: Shop,
  name: string,
  key: string,
): Promise<Add> {
  const startedAt = performance.now();
  const wanted = {
    method: 'POST' as const,
    path: `/counters/${name}/increments`,
    headers: { 'idempotency-key': key },
    body: '{}',
    refusals: ['out_of_bounds'],
  };
  for (let pauseMs = PAUSE_MS_MIN; performance.now() - startedAt < BUYING_MS_MAX; pauseMs = longer(pauseMs)) {
    signal.throwIfAborted();
    const answer = await client.send(pick(random, replicas).port, wanted, PATIENT_MS);
    const ended = { startedAt, endedAt: performance.now(), by: 1 };
    if (answer.outcome === 'acknowledged')
      return { ...ended, outcome: 'acknowledged', value: answer.values[0] ?? 0 };
    if (answer.outcome === 'refused' && answer.code === 'out_of_bounds')
      return { ...ended, outcome: 'refused' };
    if ('unexpected' in answer) throw new Error(`a buyer was told: ${answer.unexpected}`);
    await setTimeout(pauseMs * (0.5 + random()));
  }
  return { startedAt, endedAt: performance.now(), by: 1, outcome: 'unknown' };
}
