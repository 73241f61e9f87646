import autocannon, { type Options, type Result } from 'autocannon';
import { progress } from '../../src/command-line/progress.ts';
import type { Subject } from './subjects.ts';
import { judge, type Observation, type Verdict } from './verdict.ts';

/** The measurements of a subject, and whether its claim holds. */
export interface Measurement extends Observation, Verdict {
  name: string;
  claim: Subject['claim'];
  calls: number;
  connections: number;
  /** Calls with status 200. */
  answered: number;
  /** Calls with status 409: refused, nothing was changed. */
  refused: number;
  lost: number;
  seconds: number;
  incrementsPerSecond: number;
  /** Percentiles of the latency of a call, in milliseconds. */
  latencyMs: { p50: number; p99: number; max: number };
}

/** The timeout of a call, in seconds: longer than the service's own. */
const CALL_S_MAX = 90;

/** The interval at which autocannon checks whether it is done, in milliseconds (1,000 by default). */
const SAMPLE_MS = 20;

/** The problems of a service that reached a time limit or its number of retries. */
const OUT_OF_TIME = new Set<unknown>(['busy', 'retries_exhausted', 'out_of_time', 'queue_full']);

/** The increments that an answer reports; an answer of a strategy is a single increment. */
interface CallAnswer {
  acknowledged?: number;
  conflicts: number;
}

/**
 * Resets the likes, makes the calls, and reads the likes. Every call is waited for (`amount`, not `duration`, which drops
 * calls in flight), so that the count can be compared with the number of acknowledged increments.
 *
 * @throws the signal's reason
 */
export async function measure(
  url: string,
  subject: Subject,
  calls: number,
  signal: AbortSignal,
): Promise<Measurement> {
  const connections = Math.min(subject.connections, calls);
  const seen = { answered: 0, refused: 0, acknowledged: 0, conflicts: 0 };
  let late = 0;
  let done = 0;
  let lastAt = 0;
  const { add, count } = await subject.prepare((path) => callOnce(url, path, 'POST'));
  const onResponse = (status: number, body: string) => {
    done += 1;
    lastAt = performance.now();
    progress(`${subject.name}, ${subject.connections} at once`, done, calls);
    if (status === 409) {
      seen.refused += 1;
      seen.conflicts += 1;
    }
    if (status === 503 && isOutOfTime(body)) late += 1;
    if (status !== 200) return;
    const { acknowledged = 1, conflicts } = JSON.parse(body) as CallAnswer;
    seen.answered += 1;
    seen.acknowledged += acknowledged;
    seen.conflicts += conflicts;
  };
  const startedAt = performance.now();
  const { latency } = await callAll(signal, {
    url,
    amount: calls,
    connections,
    timeout: CALL_S_MAX,
    sampleInt: SAMPLE_MS,
    requests: [{ method: 'POST', path: add, onResponse }],
  });
  const seconds = ((lastAt || performance.now()) - startedAt) / 1000;
  const { likes: counted, like_result: likes = counted ?? Number.NaN } = await callOnce(url, count, 'GET');
  const observation = {
    likes,
    acknowledged: seen.acknowledged,
    open: (calls - seen.answered - seen.refused) * subject.perCall,
    late: late * subject.perCall,
    conflicts: seen.conflicts,
    contention: connections * subject.workersPerCall,
  };
  return {
    name: subject.name,
    claim: subject.claim,
    calls,
    connections,
    ...seen,
    ...observation,
    ...judge(subject.claim, observation),
    lost: Math.max(0, seen.acknowledged - likes),
    seconds,
    incrementsPerSecond: seen.acknowledged / seconds,
    latencyMs: { p50: latency.p50, p99: latency.p99, max: latency.max },
  };
}

const isOutOfTime = (body: string): boolean => OUT_OF_TIME.has((JSON.parse(body) as { code?: unknown }).code);

async function callAll(signal: AbortSignal, load: Options): Promise<Result> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const running = autocannon(load, (error: Error | null, result: Result) =>
    error ? reject(error) : resolve(result),
  );
  const stop = () => running.stop();
  signal.addEventListener('abort', stop);
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    signal.throwIfAborted();
  }
}

interface Counted {
  pk?: number;
  likes?: number;
  like_result?: number;
}

async function callOnce(url: string, path: string, method: string): Promise<Counted> {
  const response = await fetch(new URL(path, url), { method, signal: AbortSignal.timeout(10_000) });
  if (!response.ok)
    throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Counted;
}
