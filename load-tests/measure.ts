import autocannon from 'autocannon';
import type { Subject } from './subjects.ts';
import type { Measured } from './verdict.ts';

export interface Load {
  /** Calls in all. */
  amount: number;
  /** Calls at the same time, unless the subject says otherwise. */
  connections: number;
  workers: number;
  increments: number;
}

export interface Row extends Measured {
  name: string;
  claim: Subject['claim'];
  calls: number;
  connections: number;
  /** Calls that were answered with 200. */
  answered: number;
  lost: number;
  retries: number;
  seconds: number;
  incrementsPerSecond: number;
  /** Of a whole call, in milliseconds. */
  latencyMs: { p50: number; p99: number; max: number };
}

/** How long a call may take, in seconds: longer than the service allows itself. */
const CALL_S_MAX = 90;

/**
 * Sets the likes to zero, makes the calls, and reads the likes. Every call is waited for (`amount`, not `duration`,
 * which drops those in flight), so that the count can be compared with what was acknowledged.
 *
 * @param onProgress told how many calls are done
 */
export async function measure(
  url: string,
  subject: Subject,
  load: Load,
  onProgress: (done: number) => void,
): Promise<Row> {
  const { amount: calls, workers, increments } = load;
  const connections = Math.min(subject.connections ?? load.connections, calls);
  const seen = { answered: 0, acknowledged: 0, conflicts: 0, retries: 0 };
  let done = 0;
  await callOnce(url, '/init', 'POST');
  // For /inc the workers are the calls themselves.
  const query = new URLSearchParams({ increments: String(increments) });
  if (subject.path !== '/inc') query.set('workers', String(workers));
  const onResponse = (status: number, body: string) => {
    done += 1;
    onProgress(done);
    if (status !== 200) return;
    const answer = JSON.parse(body) as Omit<typeof seen, 'answered'>;
    seen.answered += 1;
    seen.acknowledged += answer.acknowledged;
    seen.conflicts += answer.conflicts;
    seen.retries += answer.retries;
  };
  const startedAt = performance.now();
  const { latency } = await autocannon({
    url,
    amount: calls,
    connections,
    timeout: CALL_S_MAX,
    requests: [{ method: 'POST', path: `${subject.path}?${query.toString()}`, onResponse }],
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const { like_result: likes } = await callOnce(url, '/check', 'GET');
  const perCall = increments * (subject.path === '/inc' ? 1 : workers);
  return {
    name: subject.name,
    claim: subject.claim,
    calls,
    connections,
    ...seen,
    open: (calls - seen.answered) * perCall,
    likes,
    lost: Math.max(0, seen.acknowledged - likes),
    seconds,
    incrementsPerSecond: seen.acknowledged / seconds,
    latencyMs: { p50: latency.p50, p99: latency.p99, max: latency.max },
  };
}

async function callOnce(url: string, path: string, method: string): Promise<{ like_result: number }> {
  const response = await fetch(new URL(path, url), { method, signal: AbortSignal.timeout(10_000) });
  if (!response.ok)
    throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as { like_result: number };
}
