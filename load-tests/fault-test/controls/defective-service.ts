/**
 * The service with a defect, for the positive controls: patched from here, so that the service itself knows nothing of
 * them. `DEFECT` names it.
 */
import { CounterStore, type Written } from '../../../src/counters/store.ts';
import { isDefect } from './defects.ts';

type Write = (this: CounterStore, ...given: Parameters<CounterStore['write']>) => Promise<Written>;

const { prototype } = CounterStore;
const write = Object.getOwnPropertyDescriptor(prototype, 'write')?.value as Write;

const patches = {
  /** Says what it will have written, and writes it when it comes to it. */
  'answer before commit': () => {
    const expected = new Map<string, bigint>();
    let written: Promise<unknown> = Promise.resolve();
    prototype.write = async function (this: CounterStore, batch, id) {
      const first = batch.deltas.some(({ name }) => !expected.has(name));
      const done = written.then(() => write.call(this, batch, id));
      written = done.catch(() => {});
      const values = first ? (await done).values : [];
      for (const [i, { name, total }] of batch.deltas.entries())
        expected.set(name, first ? (values[i] ?? 0n) : (expected.get(name) ?? 0n) + total);
      return { values: batch.deltas.map(({ name }) => expected.get(name) ?? 0n), known: [] };
    };
  },
  /** Takes every lost answer for a batch that was not applied, and so writes it again. */
  'fence off': () => {
    prototype.close = async () => undefined;
  },
  /** Forgets the keys. */
  'keys off': () => {
    prototype.write = function (this: CounterStore, batch, id) {
      const requests = batch.requests.map(({ increments }) => ({ increments }));
      return write.call(this, { ...batch, requests }, id);
    };
  },
  /** Keeps the keys, and counts what comes under a known one again. */
  'keys ignored': () => {
    prototype.write = async function (this: CounterStore, batch, id) {
      const written = await write.call(this, batch, id);
      if (written.known.length === 0) return written;
      const requests = batch.requests.map(({ increments }) => ({ increments }));
      return write.call(this, { ...batch, requests }, id);
    };
  },
};

const defect = process.env.DEFECT ?? '';
if (!isDefect(defect)) throw new TypeError(`no such defect: ${defect}`);
patches[defect]();
await import('../../../src/server.ts');
