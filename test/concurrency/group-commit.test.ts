import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { GroupCommit } from '../../src/concurrency/group-commit.ts';
import { QueueFullError } from '../../src/concurrency/semaphore.ts';
import { fc } from '../property.ts';

/** A counter with slow commits, some of which fail; it records every batch. */
function counter(fails: (batch: number) => boolean, ticks: (batch: number) => number, inFlightMax = 1) {
  const batches: number[][] = [];
  let writing = 0;
  let value = 0;
  const write = async (items: readonly number[]) => {
    writing += 1;
    if (writing > inFlightMax) throw new TypeError('too many batches at once');
    const batch = batches.push([...items]) - 1;
    for (let tick = 0; tick < ticks(batch); tick += 1) await setImmediate();
    writing -= 1;
    if (fails(batch)) throw new Error(`batch ${batch}`);
    return items.map((item) => (value += item));
  };
  return { batches, write, value: () => value };
}

const arrivals = fc.record({
  // How many items arrive in each turn of the event loop.
  turns: fc.array(fc.nat(8), { minLength: 1, maxLength: 20 }),
  batchMax: fc.integer({ min: 1, max: 6 }),
  queueMax: fc.integer({ min: 1, max: 30 }),
  failing: fc.uniqueArray(fc.nat(10)),
  ticks: fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }),
});

t.test(
  'in any order and after any failure, acknowledged items are counted; refused and failed ones are not',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(arrivals, async ({ turns, batchMax, queueMax, failing, ticks }) => {
        const { batches, write, value } = counter(
          (batch) => failing.includes(batch),
          (batch) => ticks[batch % ticks.length] ?? 0,
        );
        const group = new GroupCommit({ write, batchMax, queueMax });
        const submitted: Promise<number | 'refused' | 'failed'>[] = [];
        for (const count of turns) {
          for (let i = 0; i < count; i += 1) {
            const full = group.waiting >= queueMax;
            const end = group.submit(1).catch((error: unknown) => {
              if (error instanceof QueueFullError !== full)
                throw new Error('refused, but not because of the queue');
              return full ? 'refused' : 'failed';
            });
            submitted.push(end);
          }
          await setImmediate();
        }
        const ends = await Promise.all(submitted);
        await group.drain();
        const values = ends.filter((end) => typeof end === 'number');
        // In order of arrival, without a gap or a duplicate; every admitted item is in exactly one batch.
        return (
          values.every((one, i) => one === i + 1) &&
          values.length === value() &&
          batches.every((batch) => batch.length > 0 && batch.length <= batchMax) &&
          batches.flat().length === ends.filter((end) => end !== 'refused').length
        );
      }),
      { numRuns: 300 },
    );
    t.pass();
  },
);

t.test(
  'items of one turn form a batch; items that arrive while it is written form the next one',
  async (t) => {
    const { batches, write } = counter(
      () => false,
      () => 3,
    );
    const group = new GroupCommit({ write, batchMax: 100, queueMax: 100 });
    const first = Array.from({ length: 5 }, () => group.submit(1));
    await setImmediate();
    const second = Array.from({ length: 7 }, () => group.submit(1));
    await Promise.all([...first, ...second]);
    t.strictSame(
      batches.map((batch) => batch.length),
      [5, 7],
    );
  },
);

t.test('drain waits for items in flight, and resolves at once when idle', async (t) => {
  const { write, value } = counter(
    () => false,
    () => 2,
  );
  const group = new GroupCommit({ write, batchMax: 2, queueMax: 100 });
  await group.drain();
  for (let i = 0; i < 5; i += 1) void group.submit(1);
  await group.drain();
  t.equal(value(), 5);
});

t.test('too few results of a writer are an error for the whole batch', async (t) => {
  const group = new GroupCommit<number, number>({ write: async () => [1], batchMax: 9, queueMax: 9 });
  const ends = await Promise.allSettled([group.submit(1), group.submit(1)]);
  t.strictSame(
    ends.map((end) => end.status),
    ['rejected', 'rejected'],
  );
});

t.test('a batch is written outside the asynchronous contexts of its callers', async (t) => {
  const context = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const write = async (items: readonly number[]) => {
    seen.push(context.getStore());
    return items;
  };
  await context.run('a request', async () => {
    const group = new GroupCommit<number, number>({ write, batchMax: 1, queueMax: 9 });
    await Promise.all([group.submit(1), group.submit(2)]);
    t.equal(context.getStore(), 'a request', 'the callers keep their own context');
  });
  t.strictSame(seen, [undefined, undefined]);
});

t.test(
  'heavy items fill a batch and the queue sooner, and an oversized item is a batch by itself',
  async (t) => {
    const batches: (readonly number[])[] = [];
    const write = async (items: readonly number[]) => {
      batches.push(items);
      return items;
    };
    const group = new GroupCommit({ write, weigh: (item) => item, batchMax: 10, queueMax: 36 });
    const ends = [4, 6, 1, 15, 3].map((item) => group.submit(item));
    t.equal(group.waiting, 29);
    // 27 of the 36 were full, so the rest is for items of weight 1.
    await t.rejects(group.submit(2), QueueFullError);
    for (let i = 0; i < 7; i += 1) ends.push(group.submit(1));
    await t.rejects(group.submit(1), QueueFullError);
    await ends[0];
    t.equal(await group.submit(2), 2);
    t.strictSame(await Promise.all(ends), [4, 6, 1, 15, 3, ...Array.from({ length: 7 }, () => 1)]);
    t.strictSame(batches, [[4, 6], [1], [15], [3, 1, 1, 1, 1, 1, 1, 1], [2]]);
    t.equal(group.waiting, 0);
  },
);

t.test('a returned error rejects its item alone', async (t) => {
  const group = new GroupCommit<number, number>({
    write: async (items) => items.map((item) => (item < 0 ? new RangeError(`${item}`) : item)),
    batchMax: 9,
    queueMax: 9,
  });
  const ends = await Promise.allSettled([1, -2, 3].map((item) => group.submit(item)));
  t.match(ends, [{ value: 1 }, { reason: RangeError('-2') }, { value: 3 }]);
});

t.test('a result that is a promise does not delay the next batch', async (t) => {
  const later = Promise.withResolvers<number>();
  const group = new GroupCommit<number, number>({
    write: async (items) => items.map((item) => (item === 1 ? later.promise : item)),
    batchMax: 1,
    queueMax: 9,
  });
  const first = group.submit(1);
  t.equal(await group.submit(2), 2);
  later.resolve(10);
  t.equal(await first, 10);
});

t.test('a heavy item is admitted as long as there is any room', async (t) => {
  const group = new GroupCommit<number, number>({
    write: async (items) => items,
    weigh: (item) => item,
    batchMax: 100,
    queueMax: 100,
  });
  const admitted = [60, 90].map((item) => group.submit(item));
  await t.rejects(group.submit(1), { name: 'QueueFullError' });
  t.strictSame(await Promise.all(admitted), [60, 90]);
});

t.test('an item that waited too long for a stalled batch is rejected, and not written later', async (t) => {
  const stuck = Promise.withResolvers<void>();
  const written: number[] = [];
  const write = async (items: readonly number[]) => {
    written.push(...items);
    await stuck.promise;
    return items;
  };
  const group = new GroupCommit({ write, batchMax: 1, queueMax: 9, waitMsMax: 20 });
  const first = group.submit(1);
  await setImmediate();
  // The timer does not keep a process alive; the test does.
  const alive = setInterval(() => {}, 1000);
  await t.rejects(group.submit(2), { name: 'QueueFullError', message: /waited 20 ms/ });
  clearInterval(alive);
  t.equal(group.waiting, 0);
  stuck.resolve();
  t.equal(await first, 1);
  await group.drain();
  t.strictSame(written, [1]);
});

t.test('the time to refuse a long queue grows linearly', async (t) => {
  const stuck = Promise.withResolvers<never>();
  const refusalMs = async (length: number) => {
    const group = new GroupCommit<number, number>({
      write: () => stuck.promise,
      batchMax: 1,
      queueMax: length,
      waitMsMax: 1,
    });
    void group.submit(0).catch(() => {});
    await setImmediate();
    const refused = Array.from({ length }, (_, i) => group.submit(i).catch(() => {}));
    const since = performance.now();
    await Promise.all(refused);
    return performance.now() - since;
  };
  const alive = setInterval(() => {}, 1000);
  await refusalMs(20_000);
  const [short, long] = [await refusalMs(20_000), await refusalMs(160_000)];
  clearInterval(alive);
  t.ok(long < 32 * (short + 5), `${short} ms for 20,000, ${long} ms for 160,000`);
});
