import t from 'tap';
import { RetriesExhaustedError, retry } from '../../src/concurrency/retry.ts';

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

t.test('no attempt starts after the time limit', async (t) => {
  t.intercept(Math, 'random', { value: () => 0.99 });
  const slow = { ...policy, attemptsMax: Infinity, elapsedMsMax: 30, delayMsBase: 5 };
  await t.rejects(retry(failing(Infinity), slow), RetriesExhaustedError);
});

t.test('delays grow exponentially up to their bound, with full jitter', async (t) => {
  const waits: number[] = [];
  const { random: real } = Math;
  t.teardown(() => {
    Math.random = real;
  });
  for (const random of [0, 0.5, 0.999]) {
    Math.random = () => random;
    const start = performance.now();
    await retry(failing(4), { ...policy, delayMsBase: 10, delayMsMax: 40 });
    waits.push(performance.now() - start);
  }
  // 10 + 20 + 40 + 40 at most; timers are never early by more than a millisecond each.
  t.ok(waits[1] && waits[1] >= 55 - 4, `half of it: ${waits[1]}`);
  t.ok(waits[2] && waits[2] >= 109 - 4, `nearly all of it: ${waits[2]}`);
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
