import { ownCounters } from '../../shared/own-counters.ts';
import { type Pooler, startPooler } from './pooler.ts';
import { type Replica, startService, startWriter } from './replicas.ts';
import { ServerMarks } from './server-marks.ts';
import { type Servers, startServers } from './servers.ts';
import type { Situation, Way } from './situations.ts';
import { COUNTERS_MAX, counterName } from './writer-load.ts';

/** The servers, the pooler, and the replicas, which are started on first use. */
export class World {
  readonly #servers: Servers;
  readonly #pooler: Pooler | undefined;
  readonly #marks: { alone: ServerMarks; replicated: ServerMarks };
  readonly #replicas = new Map<string, Replica>();

  private constructor(servers: Servers, pooler: Pooler | undefined) {
    this.#servers = servers;
    this.#pooler = pooler;
    this.#marks = {
      alone: new ServerMarks(servers.alone),
      replicated: new ServerMarks(servers.replicated),
    };
  }

  /** Starts everything but the replicas, and creates the counters. */
  static async open(): Promise<World> {
    const servers = await startServers();
    const pooler = await startPooler(servers.alone.port).catch(async (error: unknown) => {
      await servers.stop();
      throw error;
    });
    const world = new World(servers, pooler);
    try {
      const names = Array.from({ length: COUNTERS_MAX }, (_, i) => counterName(i));
      for (const name of ['alone', 'replicated'] as const) {
        const { sessions } = await ownCounters(servers[name].databaseUrl);
        await sessions.end();
        await (await world.#marks[name].open()).createCounters(names);
      }
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** Whether the programs that a situation needs are installed. */
  has({ way }: Situation): boolean {
    return way !== 'pgbouncer' || this.#pooler !== undefined;
  }

  /** The round-trip time between the primary and its standby, in milliseconds. */
  set roundTripMs(ms: number) {
    this.#servers.link.roundTripMs = ms;
  }

  /** The figures of the server that a situation uses. */
  marksOf({ way }: Pick<Situation, 'way'>): ServerMarks {
    return this.#marks[way === 'replicated' ? 'replicated' : 'alone'];
  }

  async replicasOf({ over, way, replicas }: Situation): Promise<Replica[]> {
    const found: Replica[] = [];
    for (let i = 0; i < replicas; i += 1) found.push(await this.#replica(over, way, i));
    return found;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#replicas.values()].map((replica) => replica.stop()));
    await Promise.all(Object.values(this.#marks).map((marks) => marks.close()));
    await this.#pooler?.stop();
    await this.#servers.stop();
  }

  async #replica(over: Situation['over'], way: Way, index: number): Promise<Replica> {
    const name = `${over} ${way} ${index}`;
    const known = this.#replicas.get(name);
    if (known) return known;
    const { databaseUrl } = way === 'pgbouncer' ? (this.#pooler ?? missing()) : this.#servers[way];
    const replica = over === 'HTTP' ? await startService(databaseUrl) : startWriter(databaseUrl);
    this.#replicas.set(name, replica);
    return replica;
  }
}

function missing(): never {
  throw new Error('PgBouncer is not installed');
}
