import { digestOf } from '../checks/truth.ts';
import { keyOf } from '../journal/operation.ts';
import { type Fault, MissedError, type World } from './fault.ts';
import { storeOn } from './store.ts';

/** The number of expired keys that are reused. */
const REUSED = 10;

/** The most removals to run: each removes a limited number of keys. */
const REMOVALS_MAX = 100;

/** Lets keys of acknowledged requests expire, and removes them with the service's own statements. */
async function expire({ postgres, journal }: World, ids: readonly number[]): Promise<void> {
  const keys = ids.map((id) => digestOf(keyOf(journal.run, id)));
  const client = await postgres.connect();
  try {
    await client.query(
      `update safe_counters.idempotency_keys set expires_at = now() - interval '1 hour' where key = any($1)`,
      [keys],
    );
    const store = storeOn(client);
    for (let removal = 0; removal < REMOVALS_MAX; removal += 1) {
      await store.removeKeys(1000);
      const { rowCount } = await client.query(
        'select from safe_counters.idempotency_keys where key = any($1)',
        [keys],
      );
      if (rowCount === 0) return;
    }
    throw new Error('expired keys were not removed');
  } finally {
    await client.end();
  }
}

export const keyFaults: readonly Fault[] = [
  {
    name: 'expired keys reused',
    scope: 'alone',
    async inject(world) {
      const { exchange, journal } = world;
      const ids = exchange.takeExpirable();
      if (ids.length === 0) throw new MissedError('no request with a key was acknowledged');
      await expire(world, ids);
      journal.expire(ids);
      await Promise.all(ids.slice(0, REUSED).map((id) => exchange.reuseKey(id)));
    },
  },
];
