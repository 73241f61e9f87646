/**
 * The service with a defect, for the positive controls: patched from here, so that the service itself knows nothing of
 * them. `DEFECT` names it.
 */
import { randomUUID } from 'node:crypto';
import { type Batch, compose } from '../../../src/counters/batch.ts';
import type { CounterState } from '../../../src/counters/counter.ts';
import { CounterReader } from '../../../src/counters/reader.ts';
import { isSelective, select } from '../../../src/counters/selection.ts';
import { CounterStore, isForgotten, type Written } from '../../../src/counters/store.ts';
import { Problem } from '../../../src/errors/problem.ts';
import { isDefect } from './defects.ts';

type Read = (this: CounterReader, name: string) => Promise<CounterState | undefined>;

type Write = (this: CounterStore, ...given: Parameters<CounterStore['write']>) => Promise<Written>;

const { prototype } = CounterStore;
const write = Object.getOwnPropertyDescriptor(prototype, 'write')?.value as Write;

function withoutKeys(batch: Batch): Batch {
  const requests = batch.requests.map(({ increments, partial = false }) => ({ increments, partial }));
  return isSelective(batch) ? select(requests) : compose(requests);
}

const patches = {
  /** Says what it will have written, and writes it when it comes to it. */
  'answer before commit': () => {
    const expected = new Map<string, bigint>();
    let written: Promise<unknown> = Promise.resolve();
    prototype.write = async function (this: CounterStore, batch, id) {
      if (isSelective(batch)) {
        await written;
        expected.clear();
        return write.call(this, batch, id);
      }
      const first = batch.deltas.some(({ name }) => !expected.has(name));
      const done = written.then(() => write.call(this, batch, id));
      written = done.catch(() => {});
      const values = first ? (await done).values : [];
      for (const [i, { name, total }] of batch.deltas.entries())
        expected.set(name, first ? (values[i] ?? 0n) : (expected.get(name) ?? 0n) + total);
      return { values: batch.deltas.map(({ name }) => expected.get(name) ?? 0n), known: [] };
    };
  },
  /** Takes every batch that is refused when it is sent again for one that was not applied, and so writes it again. */
  'fence off': () => {
    prototype.close = async () => undefined;
  },
  /** Gives each attempt a number of its own, so that none is refused. */
  'numbers not checked': () => {
    let seq = 0;
    prototype.write = function (this: CounterStore, batch, { writer }) {
      seq += 1;
      return write.call(this, batch, { writer, seq });
    };
  },
  /** Takes a lost answer that nothing is known of for a batch that was not applied, and writes it as a new writer. */
  'guess when forgotten': () => {
    prototype.write = async function (this: CounterStore, batch, id) {
      try {
        return await write.call(this, batch, id);
      } catch (error) {
        if (!isForgotten(error)) throw error;
        await this.register(id.writer);
        return write.call(this, batch, id);
      }
    };
  },
  /** Forgets the keys. */
  'keys off': () => {
    prototype.write = function (this: CounterStore, batch, id) {
      return write.call(this, withoutKeys(batch), id);
    };
  },
  /** Keeps the keys, and counts what comes under a known one again. */
  'keys ignored': () => {
    prototype.write = async function (this: CounterStore, batch, id) {
      const written = await write.call(this, batch, id);
      if (written.known.length === 0) return written;
      // The number is used by now.
      const writer = randomUUID();
      await this.register(writer);
      return write.call(this, withoutKeys(batch), { writer, seq: 1 });
    };
  },
  /** Refuses all requests of a batch that waited for a lock. */
  'neighbours refused': () => {
    prototype.unlocked = () => Promise.reject(new Problem('busy', 'a counter is locked'));
  },
  /** Answers for the last counter of a bulk without a key, and does not write it. */
  'bulk in part': () => {
    prototype.write = async function (this: CounterStore, batch, id) {
      if (isSelective(batch)) return write.call(this, batch, id);
      const bulks = batch.requests.filter(
        ({ key, increments }) => key === undefined && increments.length === 3,
      );
      const names = bulks.map(({ increments }) => increments.map(({ name }) => name));
      const left = new Set(names.flatMap(([first, , third]) => (third && third !== first ? third : [])));
      const requests = batch.requests.map((request) => ({
        ...request,
        increments: request.increments.filter(({ name }) => !left.has(name)),
      }));
      const part = compose(requests);
      const { values, known } = await write.call(this, part, id);
      const written = new Map(part.deltas.map(({ name }, i) => [name, values[i] ?? 0n]));
      return { values: batch.deltas.map(({ name, total }) => written.get(name) ?? total), known };
    };
  },
  /** Remembers what it has read for a second. */
  'stale reads': () => {
    const read = Object.getOwnPropertyDescriptor(CounterReader.prototype, 'read')?.value as Read;
    const known = new Map<string, { state: ReturnType<Read>; until: number }>();
    CounterReader.prototype.read = function (this: CounterReader, name) {
      const kept = known.get(name);
      if (kept && kept.until > performance.now()) return kept.state;
      const fresh = read.call(this, name);
      known.set(name, { state: fresh, until: performance.now() + 1000 });
      return fresh;
    };
  },
};

const defect = process.env.DEFECT ?? '';
if (!isDefect(defect)) throw new TypeError(`no such defect: ${defect}`);
patches[defect]();
await import('../../../src/server.ts');
