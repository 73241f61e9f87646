import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import t from 'tap';
import { GroupCommit } from '../../src/concurrency/group-commit.ts';
import { QueueFullError } from '../../src/concurrency/semaphore.ts';

/** A counter behind a slow and sometimes failing commit; remembers every batch. */
function counter(fails: (batch: number) => boolean, ticks: (batch: number) => number) {
  const batches: number[][] = [];
  let writing = false;
  let value = 0;
  const write = async (items: readonly number[]) => {
    if (writing) throw new TypeError('two batches at once');
    writing = true;
    const batch = batches.push([...items]) - 1;
    for (let tick = 0; tick < ticks(batch); tick += 1) await setImmediate();
    writing = false;
    if (fails(batch)) throw new Error(`batch ${batch}`);
    return items.map((item) => (value += item));
  };
  return { batches, write, value: () => value };
}

const arrivals = fc.record({
  // How many come in each turn of the event loop.
  turns: fc.array(fc.nat(8), { minLength: 1, maxLength: 20 }),
  batchMax: fc.integer({ min: 1, max: 6 }),
  queueMax: fc.integer({ min: 1, max: 30 }),
  failing: fc.uniqueArray(fc.nat(10)),
  ticks: fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }),
});

t.test(
  'whatever comes when, and whatever fails: acknowledged is counted, refused and failed are not',
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
        // In order of arrival, without a gap; nothing twice; everything that was let in, in exactly one batch.
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
  'those who come in one turn are one batch; those who come while it is written are the next',
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

t.test('drain waits for what is under way, and an idle one is drained at once', async (t) => {
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

t.test('a writer that returns too few results is an error for all, not a guess', async (t) => {
  const group = new GroupCommit<number, number>({ write: async () => [1], batchMax: 9, queueMax: 9 });
  const ends = await Promise.allSettled([group.submit(1), group.submit(1)]);
  t.strictSame(
    ends.map((end) => end.status),
    ['rejected', 'rejected'],
  );
});

t.test(
  'a batch belongs to nobody: it is written outside the contexts of those who wait for it',
  async (t) => {
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const write = async (items: readonly number[]) => {
      seen.push(context.getStore());
      return items;
    };
    await context.run('a request', async () => {
      const group = new GroupCommit<number, number>({ write, batchMax: 1, queueMax: 9 });
      await Promise.all([group.submit(1), group.submit(2)]);
      t.equal(context.getStore(), 'a request', 'and those who wait keep theirs');
    });
    t.strictSame(seen, [undefined, undefined]);
  },
);
