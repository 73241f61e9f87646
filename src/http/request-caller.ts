import type { Quota } from '../concurrency/quota.ts';

/** An application that changes something, known by its token. */
export interface Caller {
  /** As the log names it. */
  name: string;
  /** How the names of the counters begin that it may change; empty: it may change anything. */
  prefix: string;
  /** Put before each of its idempotency keys, so that no other caller has the same. */
  keyspace: string;
  /** Its increments a second; undefined: any number. */
  quota?: Quota;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The application that changes something, if it needs a token for that. */
    caller?: Caller;
  }
  interface FastifyContextConfig {
    /** The counters that a validated request to this route changes. A route that has none changes something else. */
    counters?: (request: FastifyRequest) => readonly string[];
  }
}
