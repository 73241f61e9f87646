import t, { type Test } from 'tap';
import type * as real from '../../src/concurrency/retry.ts';
import { RetriesExhaustedError, retry, type RetryPolicy } from '../../src/concurrency/retry.ts';

const policy = { attemptsMax: 5, elapsedMsMax: 60_000, delayMsBase: 1, delayMsMax: 4, retryable: () => true };

/** Fails this many times, then returns the number of the attempt. */
const failing = (times: number) => async (attempt: number) => {
  if (attempt <= times) throw new Error(`attempt ${attempt}`);
  return attempt;
};

t.test('a successful operation runs once', async (t) => {
  t.equal(await retry(failing(0), policy), 1);
});

t.test('each failed attempt is reported and retried', async (t) => {
  const seen: number[] = [];
  t.equal(await retry(failing(3), { ...policy, onRetry: (_error, attempt) => seen.push(attempt) }), 4);
  t.strictSame(seen, [1, 2, 3]);
});

t.test('an error that is not retryable is thrown at once, unchanged', async (t) => {
  let attempts = 0;
  const operation = async () => {
    attempts += 1;
    throw new RangeError('no use');
  };
  await t.rejects(retry(operation, { ...policy, retryable: () => false }), RangeError);
  t.equal(attempts, 1);
});

t.test('attempts are bounded, and the last error is the cause', async (t) => {
  const error = await retry(failing(9), policy).catch((caught: unknown) => caught);
  t.ok(error instanceof RetriesExhaustedError);
  t.match(error, { message: /5 attempts/, cause: { message: 'attempt 5' } });
});

/** Retries an operation that always fails, and takes no time, on a clock that moves only while `retry` waits. */
async function exhaust(t: Test, random: number, given: Partial<RetryPolicy>) {
  t.intercept(Math, 'random', { value: () => random });
  let ms = 0;
  const delays: number[] = [];
  const attemptsAt: number[] = [];
  const setTimeout = async (delay: number) => {
    delays.push(delay);
    ms += delay;
  };
  const timers = { setImmediate: () => setTimeout(0), setTimeout };
  const mocked = await t.mockImport<typeof real>('../../src/concurrency/retry.ts', {
    'node:timers/promises': timers,
  });
  const operation = async () => {
    attemptsAt.push(ms);
    throw new Error('no use');
  };
  await t.rejects(
    mocked.retry(operation, { ...policy, ...given, now: () => ms }),
    mocked.RetriesExhaustedError,
  );
  return { delays, attemptsAt };
}

t.test('no attempt starts after the time limit', async (t) => {
  const endless = { attemptsMax: Infinity, delayMsBase: 8, delayMsMax: 1000 };
  // After 4 + 8 + 16 ms, the next delay is 32 ms.
  for (const [elapsedMsMax, attempts] of [
    [60, [0, 4, 12, 28, 60]],
    [59.9, [0, 4, 12, 28]],
    [3.9, [0]],
  ] as const)
    t.strictSame(
      (await exhaust(t, 0.5, { ...endless, elapsedMsMax })).attemptsAt,
      attempts,
      `${elapsedMsMax} ms`,
    );
});

t.test('delays grow exponentially up to their bound, with full jitter', async (t) => {
  const bounded = { attemptsMax: 6, delayMsBase: 10, delayMsMax: 50 };
  for (const [random, delays] of [
    [0, [0, 0, 0, 0, 0]],
    [0.5, [5, 10, 20, 25, 25]],
    [0.75, [7.5, 15, 30, 37.5, 37.5]],
  ] as const)
    t.strictSame((await exhaust(t, random, bounded)).delays, delays, `${random} of the bounds`);
});

t.test('an abort ends the delay', async (t) => {
  const controller = new AbortController();
  t.intercept(Math, 'random', { value: () => 0.9 });
  const forever = { ...policy, delayMsBase: 1e6, delayMsMax: 1e6, elapsedMsMax: 1e9 };
  const running = retry(failing(9), {
    ...forever,
    signal: controller.signal,
    onRetry: () => controller.abort(new Error('stop')),
  });
  await t.rejects(running, { message: 'stop' });
  await t.rejects(retry(failing(0), { ...policy, signal: controller.signal }), { message: 'stop' });
});

t.test('the time limit is measured by the given clock', async (t) => {
  let ms = 0;
  const slow = async (attempt: number) => {
    ms += 2000;
    if (attempt < 3) throw new Error('again');
    return attempt;
  };
  await t.rejects(retry(slow, { ...policy, elapsedMsMax: 1000, now: () => ms }), RetriesExhaustedError);
  t.equal(await retry(slow, { ...policy, elapsedMsMax: 1000, now: () => 0 }), 3);
});
