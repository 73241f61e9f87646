import type { Client } from 'pg';
import type { CounterStore } from '../../../src/counters/store.ts';

/** Adapts a connection to the service's own store, so that a fault runs the same statements as the service. */
export const asService = (client: Client): ConstructorParameters<typeof CounterStore>[0] => ({
  query: ({ name, text, values }) => client.query({ name, text, values: [...values] }),
});
