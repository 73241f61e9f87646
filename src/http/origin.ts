import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { Problem } from '../errors/problem.ts';
import { writes } from './writes.ts';

/**
 * Refuses what a page of another origin sends to a route that changes something: browsers send some requests (forms,
 * images, beacons) without asking whether they may. They say where each comes from (Fetch Metadata; Origin, RFC 6454),
 * which a page cannot forge; programs say nothing. To be called before the routes are registered.
 */
export function refuseOtherOrigins(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (writes(route)) route.onRequest = [check, ...[route.onRequest ?? []].flat()];
  });
}

const check: onRequestHookHandler = (request, _reply, done) => {
  if (isForeign(request)) done(new Problem('forbidden_origin', 'a page of another origin may not write'));
  else done();
};

function isForeign(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers;
  // `none`: the user typed the address. A subdomain or another port (same-site) is another origin.
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  if (origin === undefined) return false;
  if (!URL.canParse(origin)) return true;
  const { protocol, host } = new URL(origin);
  const asked = `${protocol}//${request.host}`;
  // Through URL, which leaves out the default port. The scheme may differ: TLS can end before us.
  return !URL.canParse(asked) || new URL(asked).host !== host;
}
