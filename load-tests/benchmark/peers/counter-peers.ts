import { randomUUID } from 'node:crypto';
import { CounterWriter } from '../../../src/counters/writer.ts';
import type { Counted } from '../../../src/counters/request.ts';
import { ownCounters } from '../../shared/own-counters.ts';
import { names, type Peer } from './peer.ts';

export interface CounterPeers {
  unkeyed: Peer;
  /** The same, with an idempotency key for each increment. */
  keyed: Peer;
  close(): Promise<void>;
}

const noListeners = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

/** The counters of this project, in process, configured as in the service. */
export async function counterPeers(databaseUrl: string): Promise<CounterPeers> {
  const { sessions, store } = await ownCounters(databaseUrl);
  const writer = new CounterWriter(store, noListeners);
  const sum = async (wanted: readonly string[]) => {
    const states = await store.states(wanted);
    return [...states.values()].reduce((all, { value }) => all + value, 0);
  };
  const increment = async (name: string, key?: string) => {
    const { values } = (await writer.submit({ increments: [{ name, by: 1 }], key })) as Counted;
    return values[0] as number;
  };
  return {
    unkeyed: {
      name: names.counters,
      increment,
      sum,
    },
    keyed: {
      name: names.counters,
      increment: (name) => increment(name, randomUUID()),
      sum,
    },
    close: () => sessions.end(),
  };
}
