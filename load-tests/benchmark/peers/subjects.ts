import type { LoadGenerator } from '../http/load-generator.ts';
import type { CounterPeers } from './counter-peers.ts';
import { inProcess } from './in-process.ts';
import type { Peer } from './peer.ts';
import type { PostgresPeers } from './postgres-peers.ts';
import type { RedisPeers } from './redis-peers.ts';
import type { Load, Subject } from './subject.ts';

export interface Peers {
  counters: CounterPeers;
  redis: RedisPeers;
  postgres: PostgresPeers;
  /** The address of the service that offers the same peers as routes. */
  url: string;
  generator: LoadGenerator;
}

/** Subjects to compare, and the numbers of callers. */
export interface Comparison {
  subjects: readonly Subject[];
  callers: readonly number[];
}

const MANY = Array.from({ length: 1000 }, (_, i) => `many-${i}`);
const CALLERS = [1, 128, 512];

const inProcessComparison = (load: Load, names: readonly string[], ...peers: Peer[]): Comparison => ({
  callers: CALLERS,
  subjects: peers.map((peer) => ({
    load,
    peer,
    counters: names,
    offer: (callers, ms) => inProcess(peer, names, callers, ms),
  })),
});

export function comparisons({ counters, redis, postgres, url, generator }: Peers): Comparison[] {
  const overHttp = (load: Load, keyed: boolean, name: string, peers: Record<string, Peer>): Comparison => ({
    callers: CALLERS,
    subjects: Object.entries(peers).map(([folder, peer]) => ({
      load,
      peer,
      counters: [name],
      offer: (connections, ms) =>
        generator.offer({ url, paths: [`/${folder}/${name}/increments`], keyed, connections, ms }),
    })),
  });
  const { upsert, limiter } = postgres;
  return [
    inProcessComparison('one hot counter', ['hot'], counters.unkeyed, redis.incr, upsert, limiter),
    inProcessComparison('1,000 counters', MANY, counters.unkeyed, redis.incr, upsert, limiter),
    inProcessComparison('a key each', ['keyed'], counters.keyed, redis.keyed),
    overHttp('behind a route', false, 'requested', {
      counters: counters.unkeyed,
      redis: redis.incr,
      upsert,
      limiter,
    }),
    overHttp('behind a route, a key each', true, 'requested-keyed', {
      counters: counters.keyed,
      'redis-keyed': redis.keyed,
    }),
  ];
}
