import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors/problem.ts';
import { noQuery } from './validation.ts';

/**
 * Refuses what would be ignored otherwise: an encoding of the body that is not decoded, an expectation that is not met,
 * and parameters in the address of a route that has none; and a query that would be read as something else, since it is
 * not percent-encoded UTF-8. To be called before the routes are registered.
 */
export function refuseUnread(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw: { headers, httpVersion, url = '' }, routeOptions }, reply, done) => {
    const { expect, 'content-encoding': encoding = 'identity' } = headers;
    if (encoding.toLowerCase() !== 'identity') {
      reply.header('accept-encoding', 'identity');
      return done(
        new Problem('unsupported_media_type', 'bodies are read as they are: send no Content-Encoding'),
      );
    }
    // Node itself has answered 100 by now, if that is what was expected. HTTP/1.0 knows no expectations.
    if (expect !== undefined && httpVersion !== '1.0' && !/^100-continue$/i.test(expect.trim())) {
      return done(new Problem('expectation_failed', 'only Expect: 100-continue can be met'));
    }
    if (!isDecodable(url) && !routeOptions.schema?.hide) {
      return done(new Problem('invalid_request', 'the query is not percent-encoded UTF-8'));
    }
    done();
  });
  app.addHook('onRoute', (route) => {
    // The page, and Swagger UI, are opened through links that may have anything added to them.
    if (route.schema?.hide || route.schema?.querystring) return;
    route.schema = { ...route.schema, querystring: noQuery };
  });
}

/** Fastify takes what it cannot decode as it stands: `%zz` would mean the same as `%25zz`. */
function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true;
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}
