import { loadConfig } from '../../src/config.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter } from '../../src/counters/writer.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import { commits, interrupted } from './unreliable.ts';

/*
 * The process of a replica that stops, as if its machine did, in the middle of the transaction of a request, when it holds
 * the locks. After SIGCONT, it goes on, and reports the outcome of the request.
 */

const config = loadConfig();
const log = { info: () => {}, warn: () => {} };
const sessions = openCounterSessions(driverFor(config.DATABASE_URL ?? ''), { config, log });
let stopped = false;
const stopping = interrupted(sessions, (texts) => {
  if (stopped || !commits(texts)) return;
  stopped = true;
  console.log('stopped');
  process.kill(process.pid, 'SIGSTOP');
});
const store = new CounterStore(stopping, { keyHours: 24, lockMsMax: 500, schema: config.DATABASE_SCHEMA });
const noEvents = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };
const writer = new CounterWriter(store, noEvents);
const increments = ['existing', 'new'].map((name) => ({ name, by: 1, max: 1000 }));
console.log(JSON.stringify(await writer.submit({ increments, key: 'key' })));
await sessions.end();
