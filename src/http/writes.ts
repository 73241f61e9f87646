import type { RouteOptions } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether a route changes something although its method is safe. */
    writes?: boolean;
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether a route changes something. */
export function writes({ method, config }: RouteOptions): boolean {
  return config?.writes === true || [method].flat().some((one) => !SAFE_METHODS.has(one));
}
