import { setTimeout } from 'node:timers/promises';
import { caughtBy } from './catch.ts';
import { bounded, type Fault, MissedError, type World } from './fault.ts';

/** How long the server is stopped: longer than the service waits for an answer, in milliseconds. */
const STOPPED_MS = 2900;

const serviceEnded = (signal: 'SIGKILL' | 'SIGTERM'): Fault => ({
  name: `${signal} of a replica`,
  scope: 'replica',
  async make({ postgres }, replica) {
    // What it has found out by now would be gone with it.
    await replica.settled();
    await replica.end(signal);
    await replica.start(postgres);
  },
});

/** With a batch under way that never arrives: what was not committed may not have been acknowledged. */
const killedDuringCommit: Fault = {
  name: 'SIGKILL of a replica during a commit',
  scope: 'replica',
  async make(world, replica) {
    const caught = await caughtBy('hold', world, replica);
    try {
      await replica.settled();
      await replica.end('SIGKILL');
    } finally {
      caught.cut();
    }
    await replica.start(world.postgres);
  },
};

/** Does something to a backend that is writing counters: `what` is an expression of its `pid`. */
async function toWriter(world: World, what: string): Promise<unknown> {
  const { postgres } = world;
  const client = await postgres.connect();
  const signal = bounded(world);
  try {
    while (!signal.aborted) {
      // Both in one statement: a moment later it writes no more.
      const { rows } = await client.query<{ result: unknown }>(`
        select ${what} as result from pg_stat_activity
        where application_name = 'safe-counters' and state = 'active' and query like '%insert into counters%'
        limit 1`);
      if (rows[0]) return rows[0].result;
    }
    throw new MissedError('nothing was written');
  } finally {
    await client.end();
  }
}

/** Bounded by the run: a server that does not come back at all is a reason to end it. */
async function answers({ postgres, signal }: World): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
  for (;;) {
    try {
      await postgres.query('select 1');
      return;
    } catch (error) {
      if (deadline.aborted) throw error;
      await setTimeout(20);
    }
  }
}

export const processFaults: readonly Fault[] = [
  serviceEnded('SIGKILL'),
  serviceEnded('SIGTERM'),
  killedDuringCommit,
  {
    name: 'pg_terminate_backend',
    scope: 'server',
    async make(world) {
      if (!(await toWriter(world, 'pg_terminate_backend(pid)')))
        throw new MissedError('the backend was gone');
    },
  },

  /** The server then ends all other backends as well, and recovers. */
  {
    name: 'SIGKILL of a backend',
    scope: 'server',
    async make(world) {
      const pid = Number(await toWriter(world, 'pid'));
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        throw new MissedError('the backend was gone', { cause: error });
      }
      await answers(world);
    },
  },

  {
    name: 'SIGKILL of PostgreSQL',
    scope: 'server',
    async make(world) {
      await world.postgres.kill();
      await world.postgres.start();
      await answers(world);
    },
  },

  {
    name: 'restart of PostgreSQL',
    scope: 'server',
    async make(world) {
      await world.postgres.restart();
      await answers(world);
    },
  },

  {
    name: 'SIGSTOP of PostgreSQL',
    scope: 'server',
    async make(world) {
      await world.postgres.signal('SIGSTOP');
      await setTimeout(STOPPED_MS);
      await world.postgres.signal('SIGCONT');
      await answers(world);
    },
  },
];
