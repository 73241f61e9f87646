import type { Quota } from '../concurrency/quota.ts';

/** An application that changes something, identified by its token. */
export interface Caller {
  /** Its name in the log. */
  name: string;
  /** It may change the counters whose names begin with this; empty: it may change anything. */
  prefix: string;
  /** A prefix for its idempotency keys, so that they differ from those of other callers. */
  keyspace: string;
  /** The limit on its increments a second; undefined: no limit. */
  quota?: Quota;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The application that sent the request, if the route requires a token. */
    caller?: Caller;
  }
  interface FastifyContextConfig {
    /** The names of the counters that a validated request changes; undefined for routes that change something else. */
    counters?: (request: FastifyRequest) => readonly string[];
  }
}
