import { setTimeout } from 'node:timers/promises';
import { type Fault, MissedError, type World } from './fault.ts';

/** How long the server is stopped: longer than the service waits for an answer, in milliseconds. */
const STOPPED_MS = 3300;

const serviceKilled: Fault = {
  name: 'SIGKILL of a replica',
  local: true,
  async make({ postgres }, replica) {
    // What it has found out by now would be gone with it.
    await replica.settled();
    await replica.end('SIGKILL');
    await replica.start(postgres);
  },
};

const serviceRestarted: Fault = {
  name: 'SIGTERM of a replica',
  local: true,
  async make({ postgres }, replica) {
    await replica.settled();
    await replica.end('SIGTERM');
    await replica.start(postgres);
  },
};

const backendTerminated: Fault = {
  name: 'pg_terminate_backend',
  local: false,
  async make(world) {
    const pid = await backendPid(world);
    const [row] = await world.postgres.query('select pg_terminate_backend($1) as done', [pid]);
    if (!row?.done) throw new MissedError('the backend was gone');
  },
};

/** The server then ends all other backends as well, and recovers. */
const backendKilled: Fault = {
  name: 'SIGKILL of a backend',
  local: false,
  async make(world) {
    const pid = await backendPid(world);
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      throw new MissedError('the backend was gone', { cause: error });
    }
    await answers(world);
  },
};

const postgresKilled: Fault = {
  name: 'SIGKILL of PostgreSQL',
  local: false,
  async make(world) {
    await world.postgres.kill();
    await world.postgres.start();
    await answers(world);
  },
};

const postgresRestarted: Fault = {
  name: 'restart of PostgreSQL',
  local: false,
  async make(world) {
    await world.postgres.restart();
    await answers(world);
  },
};

const postgresStopped: Fault = {
  name: 'SIGSTOP of PostgreSQL',
  local: false,
  async make(world) {
    await world.postgres.signal('SIGSTOP');
    await setTimeout(STOPPED_MS);
    await world.postgres.signal('SIGCONT');
    await answers(world);
  },
};

async function backendPid({ postgres, signal }: World): Promise<number> {
  while (!signal.aborted) {
    const pid = await postgres.backendPid();
    if (pid) return pid;
    await setTimeout(5);
  }
  throw new MissedError('the service has no connection');
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
  serviceKilled,
  serviceRestarted,
  backendTerminated,
  backendKilled,
  postgresKilled,
  postgresRestarted,
  postgresStopped,
];
