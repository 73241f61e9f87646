import { type IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

const setHeaders = helmet({
  // Both belong to the proxy that terminates TLS: without TLS, they would send browsers to a port that does not have it.
  hsts: false,
  contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } },
});

/**
 * Adds Helmet's headers to every answer. They are always the same and are computed once. Computing them for each answer,
 * as Helmet's plugin does, takes a seventh of the time of a small request.
 */
export function securityHeaders(app: FastifyInstance): void {
  const request = { method: 'GET' } as IncomingMessage;
  const response = new ServerResponse(request);
  setHeaders(request, response, () => {});
  const headers = { ...response.getHeaders() };
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    done();
  });
}
