import { endpoints } from '../../src/posts/endpoints.ts';
import { strategies } from '../../src/strategies/index.ts';
import type { Claim } from '../../src/likes/strategy.ts';

/** A subject of the load test: what to call, and the claim to check. */
export interface Subject {
  name: string;
  claim: Claim;
  /** Resets the likes, and returns the paths to increment (POST) and to read (GET) them. */
  prepare: (post: (path: string) => Promise<{ pk?: number }>) => Promise<{ add: string; count: string }>;
  /** The increments of a call. */
  perCall: number;
  /** The contending workers of a call. */
  workersPerCall: number;
  /** The number of concurrent calls. */
  connections: number;
}

/** The numbers of concurrent calls for each endpoint. */
export interface EndpointLoad {
  connections: number;
  workers: number;
  increments: number;
}

/** The endpoints of the blog post that increment; `/inc` also with one call at a time, for which its claim is exact. */
export function endpointSubjects({ connections, workers, increments }: EndpointLoad): Subject[] {
  const rows = endpoints.filter((endpoint) => endpoint.increments > 1);
  const subject = ({ path, strategy }: (typeof rows)[number], alone: boolean): Subject => {
    // For /inc, the workers are the concurrent calls.
    const own = path === '/inc' ? 1 : workers;
    return {
      name: alone ? `${path}, one call at a time` : path,
      claim: alone ? 'exact' : strategy.claim,
      prepare: async (post) => {
        await post('/init');
        return { add: `${path}?workers=${own}&increments=${increments}`, count: '/check' };
      },
      perCall: own * increments,
      workersPerCall: own,
      connections: alone ? 1 : connections,
    };
  };
  return rows.flatMap((row) =>
    row.path === '/inc' ? [subject(row, true), subject(row, false)] : [subject(row, false)],
  );
}

/** Every strategy, one increment per call, by this many callers. */
export function strategySubjects(connections: number): Subject[] {
  return strategies.map(({ name, claim }) => ({
    name,
    claim,
    prepare: async (post) => {
      const { pk } = await post(`/strategies/${name}/posts`);
      const path = `/strategies/${name}/posts/${pk}`;
      return { add: `${path}/increments`, count: path };
    },
    perCall: 1,
    workersPerCall: 1,
    connections,
  }));
}
