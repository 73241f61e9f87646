import type { Client } from 'pg';
import type { CounterStore } from '../../../src/counters/store.ts';

/** A connection as the service's own statements use it, so that a fault does what the service does. */
export const asService = (client: Client): ConstructorParameters<typeof CounterStore>[0] => ({
  query: ({ name, text, values }) => client.query({ name, text, values: [...values] }),
});
