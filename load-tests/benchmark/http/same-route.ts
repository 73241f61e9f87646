import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { counterAnswer, counterParams, incrementBody } from '../../../src/counters/http/schemas.ts';
import { allowNoBody } from '../../../src/http/validation.ts';

type Increment = (name: string, by: number, headers: IncomingHttpHeaders) => Promise<number>;

/** Adds a route for an alternative to the counters, with the same checks and the same log level as their own route. */
export function sameRoute(app: FastifyInstance, path: string, increment: Increment): void {
  app.post<{ Params: { name: string }; Body: { by?: number } }>(path, {
    logLevel: 'warn',
    schema: {
      hide: true,
      params: counterParams,
      body: incrementBody,
      response: { 200: counterAnswer('The counter') },
    },
    preValidation: allowNoBody,
    handler: async ({ headers, params: { name }, body: { by = 1 } }) => ({
      name,
      value: await increment(name, by, headers),
    }),
  });
}
