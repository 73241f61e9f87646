/**
 * The service with the defect that `DEFECT` names, for the positive controls. The defects are patches in this file, so that
 * the service contains no code for them.
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
  /** Predicts the values, answers with them, and writes the batch later. */
  'answers before the commit': () => {
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
  /** If a retry is refused because its batch number was used, writes the batch again under a new number. */
  'treats every lost commit as not applied': () => {
    prototype.close = async () => undefined;
  },
  /** Gives each attempt a new batch number, so that none is refused as a duplicate. */
  'does not check batch numbers': () => {
    let seq = 0;
    prototype.write = function (this: CounterStore, batch, { writer }) {
      seq += 1;
      return write.call(this, batch, { writer, seq });
    };
  },
  /** If the row of its writer is gone, assumes that the batch was not applied, and writes it as a new writer. */
  'guesses the outcome after its writer was removed': () => {
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
  /** Writes batches without their keys. */
  'ignores keys': () => {
    prototype.write = function (this: CounterStore, batch, id) {
      return write.call(this, withoutKeys(batch), id);
    };
  },
  /** Stores keys, but counts requests with a known key again. */
  'counts known keys again': () => {
    prototype.write = async function (this: CounterStore, batch, id) {
      const written = await write.call(this, batch, id);
      if (written.known.length === 0) return written;
      // The batch number is already used.
      const writer = randomUUID();
      await this.register(writer);
      return write.call(this, withoutKeys(batch), { writer, seq: 1 });
    };
  },
  /** Refuses all requests of a batch if one of its counters is locked. */
  'refuses the whole batch on a lock': () => {
    prototype.unlocked = () => Promise.reject(new Problem('busy', 'a counter is locked'));
  },
  /** Answers with a value for the last counter of a bulk without a key, but does not write it. */
  'skips the last counter of a bulk': () => {
    prototype.write = async function (this: CounterStore, batch, id) {
      if (isSelective(batch)) return write.call(this, batch, id);
      const bulks = batch.requests.filter(
        ({ key, increments }) => key === undefined && increments.length === 3,
      );
      const names = bulks.map(({ increments }) => increments.map(({ name }) => name));
      const skipped = new Set(names.flatMap(([first, , third]) => (third && third !== first ? third : [])));
      const requests = batch.requests.map((request) => ({
        ...request,
        increments: request.increments.filter(({ name }) => !skipped.has(name)),
      }));
      const part = compose(requests);
      const { values, known } = await write.call(this, part, id);
      const written = new Map(part.deltas.map(({ name }, i) => [name, values[i] ?? 0n]));
      return { values: batch.deltas.map(({ name, total }) => written.get(name) ?? total), known };
    };
  },
  /** Caches reads for one second. */
  'reads from a cache': () => {
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
