import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { incrementsOf, ownName } from '../journal/operation.ts';
import { pick } from '../world/random.ts';
import { type Fault, MissedError, type World } from './fault.ts';

/** How long a lock is held: several times as long as a request waits for one, in milliseconds. */
const HELD_MS = 1500;

/** How many counters of requests to come are created, and after how many others. */
const CREATED = 200;
const CREATED_AFTER = 50;

/** Runs statements in a transaction, keeps it open for a while, and rolls it back. */
async function hold(world: World, names: readonly string[], lock: (client: Client) => Promise<void>) {
  const client = await world.postgres.connect();
  try {
    await client.query('begin');
    await lock(client);
    const startedAt = performance.now();
    await setTimeout(HELD_MS, undefined, { signal: world.signal });
    world.journal.locked({ names, startedAt, endedAt: performance.now() });
  } finally {
    await client.end();
  }
}

/** What another session keeps to itself; who does not need it must not notice. */
export const lockFaults: readonly Fault[] = [
  {
    name: 'a counter locked by another session',
    scope: 'alone',
    async make(world) {
      const name = pick(world.random, ['hot', 'left', 'amounts']);
      await hold(world, [name], async (client) => {
        const { rowCount } = await client.query('select from counters where name = $1 for update', [name]);
        if (rowCount !== 1) throw new MissedError(`there is no counter ${name} yet`);
      });
    },
  },

  {
    name: 'new counters that another session has not committed',
    scope: 'alone',
    async make(world) {
      const first = world.journal.operations.length + CREATED_AFTER;
      const names = Array.from({ length: CREATED }, (_, i) => ownName(first + i));
      await hold(world, names, async (client) => {
        const insert =
          'insert into counters (name, value) select unnest($1::text[]), 0 on conflict do nothing';
        const { rowCount } = await client.query(insert, [names]);
        if (rowCount !== CREATED) throw new MissedError('requests were faster');
      });
      const wanted = world.journal.operations.slice(first, first + CREATED);
      if (!wanted.some((one) => incrementsOf(one).some(({ name }) => name === ownName(one.id))))
        throw new MissedError('nobody wanted them');
    },
  },
];
