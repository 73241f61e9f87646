import { endpoints } from '../../src/posts/endpoints.ts';
import { strategies } from '../../src/strategies/index.ts';
import type { Claim } from '../../src/strategies/strategy.ts';

/** What a load test calls, and what must come of it. */
export interface Subject {
  name: string;
  claim: Claim;
  /** Makes the likes zero and returns how to add to them and how to count them. Paths of POST, POST, GET. */
  prepare: (post: (path: string) => Promise<{ pk?: number }>) => Promise<{ add: string; count: string }>;
  /** Increments of one call. */
  perCall: number;
  /** Workers of one call, which contend with each other. */
  workersPerCall: number;
  /** Calls at the same time. */
  connections: number;
}

/** How each endpoint is called. */
export interface EndpointLoad {
  connections: number;
  workers: number;
  increments: number;
}

/** The seed's endpoints that increment; `/inc` also one call after another, which is how the seed saw it work. */
export function endpointSubjects({ connections, workers, increments }: EndpointLoad): Subject[] {
  const rows = endpoints.filter((endpoint) => endpoint.increments > 1);
  const subject = ({ path, strategy }: (typeof rows)[number], alone: boolean): Subject => {
    // The workers of /inc are its calls.
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

/** Every strategy, one increment a call, by so many callers. */
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
