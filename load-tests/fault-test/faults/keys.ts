import { CounterStore } from '../../../src/counters/store.ts';
import { keyOf } from '../journal/operation.ts';
import { type Fault, MissedError, type World } from './fault.ts';
import { asService } from './store.ts';

/** Of those whose keys have expired, how many are used again. */
const AGAIN = 10;

/** How often the removal is asked to go on. */
const ROUNDS_MAX = 100;

/** Keys of requests that are settled expire, and are removed as the service does it. */
async function expire({ postgres, journal }: World, ids: readonly number[]): Promise<void> {
  const keys = ids.map((id) => keyOf(journal.run, id));
  const client = await postgres.connect();
  try {
    await client.query(
      `update idempotency_keys set expires_at = now() - interval '1 hour' where key = any($1)`,
      [keys],
    );
    const store = new CounterStore(asService(client), { keyHours: 1, lockMsMax: 1000 });
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      await store.removeKeys(1000);
      const { rowCount } = await client.query('select from idempotency_keys where key = any($1)', [keys]);
      if (rowCount === 0) return;
    }
    throw new Error('expired keys were not removed');
  } finally {
    await client.end();
  }
}

export const keyFaults: readonly Fault[] = [
  {
    name: 'keys that expire and are used again',
    scope: 'alone',
    async make(world) {
      const { exchange, journal } = world;
      const ids = exchange.takeFinished();
      if (ids.length === 0) throw new MissedError('nothing with a key was acknowledged');
      await expire(world, ids);
      journal.expire(ids);
      await Promise.all(ids.slice(0, AGAIN).map((id) => exchange.countAgain(id)));
    },
  },
];
