import type { Client } from 'pg';
import { CounterStore } from '../../../src/counters/store.ts';

/** The schema of the counters: the service's default. */
export const SCHEMA = 'safe_counters';

/** The service's own store on a connection, so that a fault removes rows with the same statements as the service. */
export const storeOn = (client: Client): CounterStore =>
  new CounterStore(
    {
      query: ({ name, text, values }) => client.query({ name, text, values: [...values] }),
      transaction: () => Promise.reject(new TypeError('no fault decides on requests')),
    },
    { keyHours: 1, lockMsMax: 1000, schema: SCHEMA },
  );
