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
          if (!operation) continue;
          operation.responses = { ...operation.responses, default: problemAnswer };
          relax(operation);
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

/**
 * What has a default may be left out, and so may a body of which everything may. The schemas say otherwise, since they
 * describe what the handler gets.
 */
function relax({ parameters = [], requestBody }: OpenAPIV3.OperationObject): void {
  for (const parameter of parameters) {
    if ('schema' in parameter && hasDefault(parameter.schema)) parameter.required = false;
  }
  if (!requestBody || '$ref' in requestBody) return;
  for (const { schema } of Object.values(requestBody.content)) {
    if (!schema || '$ref' in schema || schema.type !== 'object') continue;
    // A copy: the route is validated by the original.
    const required = (schema.required ?? []).filter((name) => !hasDefault(schema.properties?.[name]));
    requestBody.required = required.length > 0;
    schema.required = required;
  }
}

const hasDefault = (schema: object | undefined): boolean => schema !== undefined && 'default' in schema;
