import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Counters } from '../counters/counters.ts';
import { countersRoutes } from '../counters/routes.ts';
import { answerErrors } from '../http/error-handler.ts';
import { compileValidator, explainValidation } from '../http/validation.ts';
import { type CountersOptions, createCounters } from './index.ts';

declare module 'fastify' {
  interface FastifyInstance {
    counters: Counters;
  }
}

/** Where the counters are kept, or counters that were made before: they are closed with the application. */
export type CountersPluginOptions = (CountersOptions | { counters: Counters }) & {
  /** What the paths of the routes begin with: `/api` makes `/api/counters/{name}`; nothing by default. */
  prefix?: string;
};

const plugin: FastifyPluginAsync<CountersPluginOptions> = async (app, options) => {
  const counters =
    'counters' in options
      ? options.counters
      : await createCounters({ warn: (message) => app.log.warn(message), ...options });
  app.decorate('counters', counters);
  endWith(app, counters);
  const { prefix = '' } = options;
  await app.register(
    async (scope) => {
      // Whatever the application has set for its own routes.
      if (!scope.hasDecorator('refusals')) answerErrors(scope);
      scope.setSchemaErrorFormatter(explainValidation);
      scope.setValidatorCompiler(compileValidator);
      if (scope.serializerCompiler) scope.setSerializerCompiler(() => JSON.stringify);
      await scope.register(countersRoutes, { counters });
    },
    { prefix },
  );
};

/**
 * When the application closes, requests under way may still count, but how long they wait for the database has a bound.
 * Their answers end their connections: Fastify would wait for those that a client keeps, for more than a minute.
 */
function endWith(app: FastifyInstance, counters: Counters): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
    void counters.close();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('connection', 'close');
    done();
  });
  app.addHook('onClose', () => counters.close());
}

/** Adds the counters' routes and `app.counters` to an application of Fastify 5. */
export default fastifyPlugin(plugin, { name: 'safe-counters', fastify: '5.x' });
