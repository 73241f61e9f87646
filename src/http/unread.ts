import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors/problem.ts';
import { noQuery } from './validation.ts';

/**
 * Refuses what would otherwise be ignored: an encoding of the body, an expectation that cannot be met, and query
 * parameters of a route that has none. Also refuses a query that is not percent-encoded UTF-8, because it would be read as
 * something else.
 */
export function refuseUnread(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw: { headers, httpVersion, url = '' }, routeOptions }, reply, done) => {
    const { expect, 'content-encoding': encoding = 'identity' } = headers;
    if (encoding.toLowerCase() !== 'identity') {
      reply.header('accept-encoding', 'identity');
      return done(
        new Problem(
          'unsupported_media_type',
          'encoded bodies are not supported: send the body without Content-Encoding',
        ),
      );
    }
    // Node itself has already answered `100-continue`. HTTP/1.0 has no expectations.
    if (expect !== undefined && httpVersion !== '1.0' && !/^100-continue$/i.test(expect.trim())) {
      return done(
        new Problem('expectation_failed', 'the only supported expectation is Expect: 100-continue'),
      );
    }
    if (!isDecodable(url) && !routeOptions.schema?.hide) {
      return done(new Problem('invalid_request', 'the query is not percent-encoded UTF-8'));
    }
    done();
  });
  app.addHook('onRoute', (route) => {
    // Links to the page and to Swagger UI may contain any additional parameters.
    if (route.schema?.hide || route.schema?.querystring) return;
    route.schema = { ...route.schema, querystring: noQuery };
  });
}

/** Fastify keeps what it cannot decode: `%zz` would have the same meaning as `%25zz`. */
function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true;
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}
