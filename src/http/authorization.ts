import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  preHandlerHookHandler,
} from 'fastify';
import { Problem, type ProblemCode } from '../errors/problem.ts';
import { CallerMetrics } from './caller-metrics.ts';
import { type Callers, digestOf } from './caller.ts';
import { refusals, sendProblem } from './error-handler.ts';
import type { Caller } from './request-caller.ts';
import { writes } from './writes.ts';

declare module 'fastify' {
  interface FastifyInstance {
    callerMetrics: CallerMetrics;
  }
}

/**
 * Requires a token for requests that change something (RFC 6750), and enforces the prefix and quota of each caller.
 * Reading needs no token, because a browser's EventSource cannot send the header.
 *
 * @param callers if the map is empty, no request needs a token
 */
export function requireTokens(app: FastifyInstance, callers: Callers): void {
  app.decorateRequest('caller');
  app.decorate('callerMetrics', new CallerMetrics(app.metrics));
  if (callers.size === 0) return;
  const problems: ProblemCode[] = ['unauthorized'];
  if ([...callers.values()].some(({ quota }) => quota))
    problems.push('insufficient_scope', 'too_many_requests');
  const authenticate = authentication(callers);
  app.addHook('onRoute', (route) => {
    if (!writes(route)) return;
    route.onRequest = [authenticate, ...[route.onRequest ?? []].flat()];
    route.preHandler = [authorize, ...[route.preHandler ?? []].flat()];
    route.config = { ...route.config, problems: [...(route.config?.problems ?? []), ...problems] };
    // A copy: another app in this process, without tokens, may use the same schema object.
    if (route.schema) route.schema = { ...route.schema, security: [{ token: [] }] };
  });
}

/** Identifies the caller by its token, and refuses what can be refused before the body is read. */
const authentication =
  (callers: Callers): onRequestHookHandler =>
  (request, reply, done) => {
    const [, token] = /^bearer +(.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const caller = token === undefined ? undefined : callers.get(digestOf(token));
    if (!caller) return done(unauthorized(reply));
    request.caller = caller;
    if (caller.prefix !== '' && !request.routeOptions.config.counters)
      return refuse(request, reply, caller, 'insufficient_scope', `${mayChange(caller)}, and nothing else`);
    if (!isOverQuota(request, reply, caller)) done();
  };

/** Refuses a request as a whole if the caller may not change one of its counters; charges the quota. */
const authorize: preHandlerHookHandler = (request, reply, done) => {
  const { caller } = request;
  if (!caller) return done(unauthorized(reply));
  const names = request.routeOptions.config.counters?.(request) ?? [];
  const foreign = names.find((name) => !name.startsWith(caller.prefix));
  if (foreign !== undefined) {
    const detail = `${mayChange(caller)}, not ${JSON.stringify(foreign)}`;
    return refuse(request, reply, caller, 'insufficient_scope', detail);
  }
  // Checked again: other requests of the caller may have used the quota since.
  if (isOverQuota(request, reply, caller)) return;
  const increments = Math.max(1, names.length);
  caller.quota?.spend(increments);
  request.server.callerMetrics.admitted(caller, increments);
  done();
};

function unauthorized(reply: FastifyReply): Problem {
  reply.header('www-authenticate', 'Bearer');
  return new Problem('unauthorized', 'send a valid token: Authorization: Bearer …');
}

const mayChange = ({ name, prefix }: Caller): string =>
  `the token ${name} may change counters whose names begin with ${JSON.stringify(prefix)}`;

/** @returns whether the request was answered with 429 */
function isOverQuota(request: FastifyRequest, reply: FastifyReply, caller: Caller): boolean {
  const { name, quota } = caller;
  if (!quota || quota.waitMs === 0) return false;
  reply.header('retry-after', Math.ceil(quota.waitMs / 1000));
  const detail = `increments of the token ${name} are limited to ${quota.perSecond} a second`;
  refuse(request, reply, caller, 'too_many_requests', detail);
  return true;
}

/** Answers without an exception: a caller that ignores refusals must not cost more than one that is served. */
function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  code: ProblemCode,
  message: string,
): void {
  if (code === 'insufficient_scope') reply.header('www-authenticate', `Bearer error="${code}"`);
  request.server[refusals].add(code, message, caller.name);
  request.server.callerMetrics.refused(caller, code);
  sendProblem(request, reply, { code, message, partlyDone: false });
}
