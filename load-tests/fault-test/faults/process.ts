import { setTimeout } from 'node:timers/promises';
import { intercept, moments } from './catch.ts';
import { bounded, type Fault, MissedError, type World } from './fault.ts';

/** How long the server is stopped, in milliseconds: longer than the service waits for an answer. */
const STOPPED_MS = 2900;

const serviceEnded = (signal: 'SIGKILL' | 'SIGTERM'): Fault => ({
  name: `${signal} of a replica`,
  scope: 'replica',
  async inject({ postgres }, replica) {
    // The replica's metrics are lost when it ends.
    await replica.settled();
    await replica.end(signal);
    await replica.start(postgres);
  },
});

/** The batch in flight never reaches the server, so none of its requests may have been acknowledged. */
const killedDuringCommit: Fault = {
  name: 'SIGKILL of a replica during a commit',
  scope: 'replica',
  async inject(world, replica) {
    const caught = await intercept('hold', world, replica, moments.plain);
    try {
      await replica.settled();
      await replica.end('SIGKILL');
    } finally {
      caught.cut();
    }
    await replica.start(world.postgres);
  },
};

/** Evaluates an SQL expression of the `pid` of a backend that is writing counters. */
async function queryWritingBackend(world: World, expression: string): Promise<unknown> {
  const { postgres } = world;
  const client = await postgres.connect();
  const signal = bounded(world);
  try {
    while (!signal.aborted) {
      // In one statement, because a moment later the backend is idle.
      const { rows } = await client.query<{ result: unknown }>(`
        select ${expression} as result from pg_stat_activity
        where application_name = 'safe_counters' and state = 'active' and query like '%insert into "safe_counters".counters%'
        limit 1`);
      if (rows[0]) return rows[0].result;
    }
    throw new MissedError('no backend was writing counters');
  } finally {
    await client.end();
  }
}

/** Waits until the server answers. A server that stays unavailable ends the run with an error. */
async function untilAvailable({ postgres, signal }: World): Promise<void> {
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
    async inject(world) {
      if (!(await queryWritingBackend(world, 'pg_terminate_backend(pid)')))
        throw new MissedError('the backend had ended');
    },
  },

  /** The server then ends all other backends, and runs crash recovery. */
  {
    name: 'SIGKILL of a backend',
    scope: 'server',
    async inject(world) {
      const pid = Number(await queryWritingBackend(world, 'pid'));
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        throw new MissedError('the backend had ended', { cause: error });
      }
      await untilAvailable(world);
    },
  },

  {
    name: 'SIGKILL of PostgreSQL',
    scope: 'server',
    async inject(world) {
      await world.postgres.kill();
      await world.postgres.start();
      await untilAvailable(world);
    },
  },

  {
    name: 'restart of PostgreSQL',
    scope: 'server',
    async inject(world) {
      await world.postgres.restart();
      await untilAvailable(world);
    },
  },

  {
    name: 'SIGSTOP of PostgreSQL',
    scope: 'server',
    async inject(world) {
      await world.postgres.signal('SIGSTOP');
      await setTimeout(STOPPED_MS);
      await world.postgres.signal('SIGCONT');
      await untilAvailable(world);
    },
  },
];
