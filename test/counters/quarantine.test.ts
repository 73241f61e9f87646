import { setImmediate, setTimeout } from 'node:timers/promises';
import t from 'tap';
import type { Outcome } from '../../src/counters/batch-writer.ts';
import { Quarantine, type QuarantineOptions } from '../../src/counters/quarantine.ts';
import { type PendingRequest, pendingOf } from '../../src/counters/request.ts';
import { Problem } from '../../src/errors/problem.ts';
import { until } from '../helper.ts';
import { slow } from '../pace.ts';

const requestOf = (...names: string[]): PendingRequest =>
  pendingOf({ increments: names.map((name) => ({ name, by: 1 })) });

const lockTimeout = () => Object.assign(new Error('lock timeout'), { code: '55P03' });
const outOfRange = () => new Problem('out_of_range', 'too large');

/** A model of a database that knows only which counters are locked, and which are at the end of their range. */
class Locks {
  readonly locked = new Set<string>();
  readonly full = new Set<string>();
  /** The counters of each attempt. */
  readonly attempts: string[][] = [];
  /** The counters that were tried alone. */
  readonly alone = new Set<string>();
  /** The number of attempts in progress. */
  writing = 0;
  /** How long an attempt waits for a lock, in milliseconds; undefined: as long as the quarantine asks for. */
  waitMs: number | undefined;

  async write(requests: readonly PendingRequest[], lockMs: number): Promise<Outcome[]> {
    this.writing += 1;
    try {
      return await this.#attempt(requests, lockMs);
    } finally {
      this.writing -= 1;
    }
  }

  async #attempt(requests: readonly PendingRequest[], lockMs: number): Promise<Outcome[]> {
    const names = requests.flatMap(({ rows }) => rows.map(({ name }) => name));
    this.attempts.push([...new Set(names)]);
    if (names.length === 1) this.alone.add(String(names[0]));
    if (names.some((name) => this.locked.has(name))) {
      await (this.waitMs === 0 ? setImmediate() : setTimeout(this.waitMs ?? lockMs));
      if (names.some((name) => this.locked.has(name))) return requests.map(lockTimeout);
    }
    await setImmediate();
    return requests.map(({ rows }) =>
      rows.some(({ name }) => this.full.has(name))
        ? outOfRange()
        : { values: rows.map(() => 1), replayed: false },
    );
  }
}

function setUp(options: Partial<QuarantineOptions> = {}) {
  const locks = new Locks();
  const write: Locks['write'] = (requests, lockMs) => locks.write(requests, lockMs);
  const quarantine = new Quarantine({
    writers: [write, write],
    batchMax: 1000,
    waitMsMax: 5000,
    queueMax: 4096,
    ...options,
  });
  const outcomeOf = (request: PendingRequest) =>
    quarantine.submit(request).then(
      () => 'written',
      (error: unknown) => (error instanceof Problem ? error.code : String(error)),
    );
  return { locks, quarantine, outcomeOf };
}

/** A caller that sends the next request as soon as the last one is answered, until `isDone`. */
const sendRepeatedly = async (send: () => Promise<string>, isDone: () => boolean) => {
  do await send();
  while (!isDone());
};

t.test('counters whose requests are all refused do not block the lanes for other counters', async (t) => {
  const { locks, quarantine, outcomeOf } = setUp();
  quarantine.suspect(['full 1', 'full 2', 'other']);
  for (const name of ['full 1', 'full 2']) locks.full.add(name);
  let isDone = false;
  const callers = ['full 1', 'full 2'].flatMap((name) =>
    [1, 2, 3].map(() =>
      sendRepeatedly(
        () => outcomeOf(requestOf(name)),
        () => isDone || locks.attempts.length > 1000,
      ),
    ),
  );
  t.equal(await outcomeOf(requestOf('other')), 'written');
  isDone = true;
  await Promise.all(callers);
  t.ok(locks.attempts.length < 50, `written by attempt ${locks.attempts.length}`);
});

t.test('a counter whose requests are all refused does not take the turns of locked counters', async (t) => {
  const { locks, quarantine, outcomeOf } = setUp({ waitMsMax: 1000, batchMax: 2 });
  quarantine.suspect(['full', 'locked']);
  locks.full.add('full');
  for (const name of ['full', 'locked']) locks.locked.add(name);
  let isDone = false;
  const callers = [1, 2, 3, 4, 5, 6].map(() =>
    sendRepeatedly(
      () => outcomeOf(requestOf('full')),
      () => isDone,
    ),
  );
  const pending = outcomeOf(requestOf('locked'));
  await until(async () => locks.attempts.length >= 4);
  locks.locked.clear();
  t.equal(await pending, 'written');
  isDone = true;
  await Promise.all(callers);
});

t.test('counters that have been written are no longer suspects, whenever they became suspects', async (t) => {
  const { quarantine, outcomeOf } = setUp();
  const both = requestOf('a', 'b');
  quarantine.suspect(['a']);
  const first = outcomeOf(both);
  quarantine.suspect(['b']);
  t.strictSame(await Promise.all([first, outcomeOf(both)]), ['written', 'written']);
  t.notOk(quarantine.concerns(requestOf('a')));
  t.notOk(quarantine.concerns(requestOf('b')));
});

t.test('a request takes little time, however many counters are locked', async (t) => {
  const { locks, quarantine, outcomeOf } = setUp({ waitMsMax: 60_000, queueMax: 100_000 });
  const names = Array.from({ length: 4000 }, (_, i) => `locked ${i}`);
  quarantine.suspect(names);
  for (const name of names) locks.locked.add(name);
  locks.waitMs = 0;
  const pending = names.map((name) => outcomeOf(requestOf(name)));
  await until(async () => locks.alone.size === names.length && locks.writing < 2);
  locks.waitMs = undefined;
  const since = performance.now();
  const more = Array.from({ length: 1000 }, () => outcomeOf(requestOf('locked 1')));
  const ms = performance.now() - since;
  t.ok(ms < slow(100), `took ${Math.round(ms)} ms`);
  locks.locked.clear();
  await Promise.all([...pending, ...more]);
});
