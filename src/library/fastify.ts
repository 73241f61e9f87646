import type {
  FastifyError,
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  onRequestHookHandler,
} from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Counters } from '../counters/counters.ts';
import { countersRoutes } from '../counters/http/routes.ts';
import { Problem } from '../errors/problem.ts';
import { answerErrors, refusals } from '../http/error-handler.ts';
import { compileValidator, explainValidation } from '../http/validation.ts';
import { type CountersOptions, createCounters } from './index.ts';

declare module 'fastify' {
  interface FastifyInstance {
    counters: Counters;
  }
}

/** An `onRequest` hook, asynchronous or with a callback: one signature, so that a function's parameters need no types. */
type OnRequest = (
  this: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  done: HookHandlerDoneFunction,
) => unknown;

export interface CountersRoutes {
  /**
   * The hook, or hooks, that authenticate each request before its body is read. Without one, every client of the application
   * may set and delete counters: an empty array says that this is meant.
   */
  onRequest: OnRequest | readonly OnRequest[];
  /** The prefix of the paths: with `/api`, they begin with `/api/counters`; empty by default. */
  prefix?: string;
}

/** The database of the counters, or existing counters. They are closed with the application. */
export type CountersPluginOptions = (CountersOptions | { counters: Counters }) & {
  /** Adds the routes of `/counters` and `/increments`; by default there are none. */
  routes?: CountersRoutes;
};

const plugin: FastifyPluginAsync<CountersPluginOptions> = async (app, { routes, ...options }) => {
  if (routes !== undefined) assertRoutes(routes);
  const counters =
    'counters' in options
      ? options.counters
      : await createCounters({ warn: (message) => app.log.warn(message), ...options });
  app.decorate('counters', counters);
  closeWith(app, counters);
  if (routes) await addRoutes(app, counters, routes);
};

/** @throws {TypeError} that says what is missing */
function assertRoutes(routes: unknown): void {
  const { onRequest, prefix = '', ...others } = (routes ?? {}) as Record<string, unknown>;
  if ([onRequest].flat().some((hook) => typeof hook !== 'function'))
    throw new TypeError(
      'routes.onRequest is missing: give the hook that authenticates requests; [] opens the routes to every client',
    );
  if (typeof prefix !== 'string') throw new TypeError(`routes.prefix is ${typeof prefix}; allowed: text`);
  // A hook of another kind would be ignored, and the routes would be open.
  for (const name of Object.keys(others))
    throw new TypeError(`there is no option routes.${name}; allowed: onRequest, prefix`);
}

async function addRoutes(
  app: FastifyInstance,
  counters: Counters,
  { onRequest, prefix = '' }: CountersRoutes,
): Promise<void> {
  await app.register(
    async (scope) => {
      // The routes behave in the same way whatever the application has set for its own routes.
      if (!scope.hasDecorator(refusals)) answerErrors(scope, isOfApplication);
      scope.setSchemaErrorFormatter(explainValidation);
      scope.setValidatorCompiler(compileValidator);
      if (scope.serializerCompiler) scope.setSerializerCompiler(() => JSON.stringify);
      // None, since Fastify serializes by the schemas then; its types do not know that.
      scope.setReplySerializer(null as never);
      for (const hook of [onRequest].flat()) scope.addHook('onRequest', hook as onRequestHookHandler);
      await scope.register(countersRoutes, { counters });
    },
    { prefix },
  );
}

/**
 * Whether a hook of the application chose the status of an error: then it is answered as everywhere in the application.
 * Errors of Fastify itself have a status, too, and a code that begins with FST_ERR_; those of its plugins (FST_JWT_…) are
 * the application's.
 */
function isOfApplication(
  error: Omit<FastifyError, 'code'> & { status?: number; code?: unknown },
  reply: FastifyReply,
): boolean {
  const { statusCode, status, validation, code } = error;
  const isChosen = (statusCode ?? status) !== undefined || reply.statusCode >= 400;
  return isChosen && !validation && !(error instanceof Problem) && !String(code).startsWith('FST_ERR_');
}

/**
 * Closes the counters with the application. Requests in progress may still be counted, but their wait for the database has
 * a time limit. Their answers close their connections, since Fastify would wait more than a minute for connections that
 * clients keep open.
 */
function closeWith(app: FastifyInstance, counters: Counters): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
    counters.beginToClose();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('connection', 'close');
    done();
  });
  app.addHook('onClose', () => counters.close());
}

/** Adds `app.counters`, and the routes of the counters if asked to, to a Fastify 5 application. */
export default fastifyPlugin(plugin, { name: 'safe-counters', fastify: '5.x' });
