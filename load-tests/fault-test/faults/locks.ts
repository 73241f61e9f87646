import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { incrementsOf, ownName } from '../journal/operation.ts';
import { pick } from '../world/random.ts';
import { type Fault, MissedError, type World } from './fault.ts';

/** How long a lock is held, in milliseconds: several times as long as the service waits for a lock. */
const HELD_MS = 2500;

/** The number of future requests whose counters are created in advance, and of the requests that are sent before them. */
const CREATED = 200;
const SKIPPED = 100;

/**
 * Locks counters in a transaction, keeps the transaction open for a while, and rolls it back.
 *
 * @param lock locks the counters, and returns their names
 * @returns the names of the locked counters
 */
async function holdLocks(
  { postgres, journal, signal }: World,
  lock: (client: Client) => Promise<string[]>,
): Promise<string[]> {
  const client = await postgres.connect();
  try {
    await client.query('begin');
    const names = await lock(client);
    const startedAt = performance.now();
    await setTimeout(HELD_MS, undefined, { signal });
    journal.locked({ names, startedAt, endedAt: performance.now() });
    return names;
  } finally {
    await client.end();
  }
}

/** Another session holds locks. Requests that do not need the locked counters must still be served. */
export const lockFaults: readonly Fault[] = [
  {
    name: 'counter locked by another session',
    scope: 'alone',
    async inject(world) {
      const name = pick(world.random, ['hot', 'left', 'amounts']);
      await holdLocks(world, async (client) => {
        const { rowCount } = await client.query(
          `select from safe_counters.counters where period = '' and name = $1 for update`,
          [name],
        );
        if (rowCount !== 1) throw new MissedError(`the counter ${name} does not exist yet`);
        return [name];
      });
    },
  },

  {
    name: 'new counters of an uncommitted transaction',
    scope: 'alone',
    async inject(world) {
      const { operations } = world.journal;
      const names = await holdLocks(world, async (client) => {
        const first = operations.length + SKIPPED;
        const created = Array.from({ length: CREATED }, (_, i) => ownName(first + i));
        const insert =
          'insert into safe_counters.counters (name, value) select unnest($1::text[]), 0 on conflict do nothing';
        const { rowCount } = await client.query(insert, [created]);
        if (rowCount !== CREATED) throw new MissedError('some of the counters already existed');
        return created;
      });
      const created = new Set(names);
      if (!operations.some((one) => incrementsOf(one).some(({ name }) => created.has(name))))
        throw new MissedError('no request needed the locked counters');
    },
  },
];
