import { hash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import { Problem } from '../errors/problem.ts';
import { writes } from './writes.ts';

/**
 * Requires the token for requests that change something (RFC 6750). Reading needs none: a browser's EventSource cannot
 * send a header. Call it before the routes are registered.
 */
export function requireToken(app: FastifyInstance, token: string): void {
  const expected = digest(`Bearer ${token}`);
  const check: onRequestHookHandler = (request, reply, done) => {
    const { authorization = '' } = request.headers;
    // Of equal length, and compared in a time that says nothing of where they differ.
    if (timingSafeEqual(digest(authorization.replace(/^bearer +/i, 'Bearer ')), expected)) return done();
    reply.header('www-authenticate', 'Bearer');
    done(new Problem('unauthorized', 'send the token of this service: Authorization: Bearer …'));
  };
  app.addHook('onRoute', (route) => {
    if (!writes(route)) return;
    route.onRequest = [check, ...[route.onRequest ?? []].flat()];
    // A copy: another app of this process, without a token, may have the same schema.
    if (route.schema) route.schema = { ...route.schema, security: [{ token: [] }] };
  });
}

const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
