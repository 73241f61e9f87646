import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { OpenAPIV3 } from 'openapi-types';
import manifest from '../../package.json' with { type: 'json' };
import { problems } from '../errors/problem.ts';
import { serveDocumentOnce } from './document.ts';

const problemExample = {
  type: '/problems#busy',
  title: problems.busy.title,
  status: problems.busy.status,
  detail: problems.busy.title,
  instance: 'urn:request:5f0c8a52-0f0e-4a43-9d5c-2f7c3f1f6a55',
  code: 'busy',
};

const problemAnswer: OpenAPIV3.ResponseObject = {
  description: 'What went wrong, as RFC 9457 describes it; `code` is one of those at /problems',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        required: ['type', 'title', 'status', 'detail', 'instance', 'code'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string' },
          instance: { type: 'string' },
          code: { type: 'string', enum: Object.keys(problems) },
        },
        example: problemExample,
      },
    },
  },
};

/** The description of the API at /docs/json, and Swagger UI at /docs. */
export const openapi = fastifyPlugin(async (app: FastifyInstance, { secured }: { secured: boolean }) => {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'safe-counters', description: manifest.description, version: manifest.version },
      // Relative, so that "Try it out" asks the host that served the page, whatever it is called.
      servers: [{ url: '/' }],
      ...(secured ? { components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } } : {}),
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      const { openapiObject } = document;
      for (const path of Object.values(openapiObject.paths ?? {})) {
        for (const operation of [path?.get, path?.post, path?.put, path?.delete]) {
          if (operation) operation.responses = { ...operation.responses, default: problemAnswer };
        }
      }
      return openapiObject;
    },
  });
  serveDocumentOnce(app);
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    uiConfig: { tryItOutEnabled: true },
    staticCSP: false,
  });
});
