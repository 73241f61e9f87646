import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { incrementsOf, ownName } from '../journal/operation.ts';
import { pick } from '../world/random.ts';
import { type Fault, MissedError, type World } from './fault.ts';

/** How long a lock is held: several times as long as a request waits for one, in milliseconds. */
const HELD_MS = 2500;

/** How many counters of requests to come are created, and after how many others. */
const CREATED = 200;
const CREATED_AFTER = 100;

/**
 * Locks counters in a transaction, keeps it open for a while, and rolls it back.
 *
 * @param lock returns their names
 * @returns their names
 */
async function hold(
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

/** What another session keeps locked; requests that do not need it must go on. */
export const lockFaults: readonly Fault[] = [
  {
    name: 'a counter locked by another session',
    scope: 'alone',
    async make(world) {
      const name = pick(world.random, ['hot', 'left', 'amounts']);
      await hold(world, async (client) => {
        const { rowCount } = await client.query('select from counters where name = $1 for update', [name]);
        if (rowCount !== 1) throw new MissedError(`there is no counter ${name} yet`);
        return [name];
      });
    },
  },

  {
    name: 'new counters that another session has not committed',
    scope: 'alone',
    async make(world) {
      const { operations } = world.journal;
      const names = await hold(world, async (client) => {
        const first = operations.length + CREATED_AFTER;
        const created = Array.from({ length: CREATED }, (_, i) => ownName(first + i));
        const insert =
          'insert into counters (name, value) select unnest($1::text[]), 0 on conflict do nothing';
        const { rowCount } = await client.query(insert, [created]);
        if (rowCount !== CREATED) throw new MissedError('requests were faster');
        return created;
      });
      const created = new Set(names);
      if (!operations.some((one) => incrementsOf(one).some(({ name }) => created.has(name))))
        throw new MissedError('no request needed them');
    },
  },
];
