import { randomUUID } from 'node:crypto';
import { CounterWriter } from '../../../src/counters/writer.ts';
import { Problem } from '../../../src/errors/problem.ts';
import { ownCounters } from '../../shared/own-counters.ts';
import type { Seen } from '../http/load.ts';
import { Tally } from '../http/tally.ts';
import { counterNames, type WriterLoad } from './writer-load.ts';

/** A program: the counters' writer without HTTP, and its callers, each with one increment in flight. */
const [databaseUrl = ''] = process.argv.slice(2);
const { store } = await ownCounters(databaseUrl);
const noListeners = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };
const writer = new CounterWriter(store, noListeners);

process.on('message', (load: WriterLoad) => {
  void offer(load).then(
    (seen) => process.send?.({ seen }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
// The database connections would keep the process alive.
process.on('disconnect', () => process.exit());

/** Loads the writer in a closed loop, as over HTTP. */
async function offer(load: WriterLoad): Promise<Seen> {
  const names = counterNames(load.indexes);
  const tally = new Tally(load.ms);
  const call = async () => {
    for (let since = performance.now(); since < tally.endsAt; since = performance.now())
      tally.answered(await increment(names, load.keyedShare), since);
  };
  await Promise.all(Array.from({ length: load.callers }, call));
  return tally.seen();
}

/** @returns the status that HTTP would answer: 200 if counted, 503 if not, 504 if unknown */
async function increment(names: readonly string[], keyedShare: number): Promise<number> {
  const name = names[Math.floor(Math.random() * names.length)] ?? '';
  const key = Math.random() < keyedShare ? randomUUID() : undefined;
  try {
    await writer.submit({ increments: [{ name, by: 1 }], key });
    return 200;
  } catch (error) {
    return error instanceof Problem && error.code === 'outcome_unknown' ? 504 : 503;
  }
}
