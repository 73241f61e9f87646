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
  /** Where the same peers are behind routes, and what calls them there. */
  url: string;
  generator: LoadGenerator;
}

/** Subjects that are compared, and with how many callers. */
export interface Comparison {
  subjects: readonly Subject[];
  callers: readonly number[];
}

const MANY = Array.from({ length: 1000 }, (_, i) => `many-${i}`);
const CALLERS = [1, 128, 512];

const called = (load: Load, names: readonly string[], ...peers: Peer[]): Comparison => ({
  callers: CALLERS,
  subjects: peers.map((peer) => ({
    load,
    peer,
    counters: names,
    offer: (callers, ms) => inProcess(peer, names, callers, ms),
  })),
});

export function comparisons({ counters, redis, postgres, url, generator }: Peers): Comparison[] {
  const requested = (load: Load, keyed: boolean, name: string, peers: Record<string, Peer>): Comparison => ({
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
    called('one hot counter', ['hot'], counters.unkeyed, redis.incr, upsert, limiter),
    called('1,000 counters', MANY, counters.unkeyed, redis.incr, upsert, limiter),
    called('a key each', ['keyed'], counters.keyed, redis.keyed),
    requested('behind a route', false, 'requested', {
      counters: counters.unkeyed,
      redis: redis.incr,
      upsert,
      limiter,
    }),
    requested('behind a route, a key each', true, 'requested-keyed', {
      counters: counters.keyed,
      'redis-keyed': redis.keyed,
    }),
  ];
}
