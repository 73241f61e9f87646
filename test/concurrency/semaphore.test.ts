import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { QueueFullError, Semaphore } from '../../src/concurrency/semaphore.ts';
import { fc } from '../property.ts';

const options = { permits: 2, queueMax: 10, waitMsMax: 60_000 };

t.test('permits are never exceeded, and are granted in the order of the requests', async (t) => {
  const demands = fc.array(fc.record({ permits: fc.integer({ min: 1, max: 4 }), ticks: fc.nat(3) }), {
    maxLength: 30,
  });
  await fc.assert(
    fc.asyncProperty(demands, async (all) => {
      const semaphore = new Semaphore({ permits: 4, queueMax: 100, waitMsMax: 60_000 });
      let used = 0;
      const admitted: number[] = [];
      await Promise.all(
        all.map(async ({ permits, ticks }, i) => {
          const release = await semaphore.acquire(permits);
          admitted.push(i);
          used += permits;
          if (used > 4) throw new Error(`${used} permits of 4`);
          for (let tick = 0; tick < ticks; tick += 1) await setImmediate();
          for (let one = 0; one < permits; one += 1) {
            used -= 1;
            release();
          }
        }),
      );
      return used === 0 && admitted.every((i, position) => i === position);
    }),
    { numRuns: 50 },
  );
  t.pass();
});

t.test('the queue is bounded', async (t) => {
  const semaphore = new Semaphore({ ...options, queueMax: 1 });
  const release = await semaphore.acquire(2);
  const waiting = semaphore.acquire(1);
  await t.rejects(semaphore.acquire(1), QueueFullError);
  release();
  await waiting;
});

t.test('the wait is bounded, and a waiter whose wait times out makes room in the queue', async (t) => {
  const semaphore = new Semaphore({ ...options, waitMsMax: 20 });
  await semaphore.acquire(1);
  const large = semaphore.acquire(2);
  const small = semaphore.acquire(1);
  await t.rejects(large, QueueFullError);
  await t.resolves(small);
});

t.test('a waiter that is aborted leaves the queue', async (t) => {
  const semaphore = new Semaphore(options);
  const release = await semaphore.acquire(2);
  const controller = new AbortController();
  const waiting = semaphore.acquire(1, controller.signal);
  controller.abort(new Error('gone'));
  await t.rejects(waiting, { message: 'gone' });
  await t.rejects(semaphore.acquire(1, controller.signal), { message: 'gone' });
  release();
  await t.resolves(semaphore.acquire(1));
});

t.test('asking for more permits than exist is a programming error', async (t) => {
  await t.rejects(new Semaphore(options).acquire(3), RangeError);
});
