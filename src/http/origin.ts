import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { Problem } from '../errors/problem.ts';
import { writes } from './writes.ts';

/**
 * Refuses requests of pages of other origins to routes that change something: browsers send some of them (forms, images,
 * beacons) without a preflight request. Browsers add headers about the origin (Fetch Metadata; Origin, RFC 6454), which a
 * page cannot forge; other programs do not send these headers.
 */
export function refuseOtherOrigins(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (writes(route)) route.onRequest = [check, ...[route.onRequest ?? []].flat()];
  });
}

const check: onRequestHookHandler = (request, _reply, done) => {
  if (isForeign(request))
    done(
      new Problem(
        'forbidden_origin',
        'requests that change something are refused if a page of another origin sends them',
      ),
    );
  else done();
};

function isForeign(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers;
  // `none`: the user typed the address. Another subdomain or port (same-site) is another origin.
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  if (origin === undefined) return false;
  if (!URL.canParse(origin)) return true;
  const { protocol, host } = new URL(origin);
  const asked = `${protocol}//${request.host}`;
  // Compared as URLs, which omit the default port. The scheme may differ, because a proxy may terminate TLS.
  return !URL.canParse(asked) || new URL(asked).host !== host;
}
