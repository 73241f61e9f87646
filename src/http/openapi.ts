import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, RouteOptions } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { OpenAPIV3 } from 'openapi-types';
import manifest from '../../package.json' with { type: 'json' };
import type { ProblemCode } from '../errors/problem.ts';
import { serveDocumentOnce } from './document.ts';
import { ProblemComponents, problemsOf } from './problem-answers.ts';

/** The OpenAPI document at /docs/json, and Swagger UI at /docs. */
export const openapi = fastifyPlugin(async (app: FastifyInstance, { secured }: { secured: boolean }) => {
  /** The problems of each operation. */
  const codes = new Map<string, ProblemCode[]>();
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'safe-counters',
        description: manifest.description,
        version: manifest.version,
        license: { name: manifest.license, identifier: manifest.license },
      },
      // No token, unless an operation requires one: reading needs none.
      security: [],
      // Relative, so that "Try it out" sends its requests to the host that served the page.
      servers: [{ url: '/' }],
      tags,
      ...(secured ? { components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } } : {}),
    },
    transform: ({ schema, url, route }) => {
      const operationId = operationIdOf(route);
      codes.set(operationId, problemsOf(route));
      return { schema: { ...schema, operationId }, url };
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      const { openapiObject } = document;
      const components = new ProblemComponents();
      for (const path of Object.values(openapiObject.paths ?? {})) {
        for (const operation of [path?.get, path?.post, path?.put, path?.delete]) {
          if (!operation) continue;
          const answers = components.answers(codes.get(operation.operationId ?? '') ?? []);
          operation.responses = { ...operation.responses, ...answers };
          markOptional(operation);
        }
      }
      const used = new Set(
        Object.values(openapiObject.paths ?? {}).flatMap((path) =>
          [path?.get, path?.post, path?.put, path?.delete].flatMap((operation) => operation?.tags ?? []),
        ),
      );
      openapiObject.tags = tags.filter(({ name }) => used.has(name));
      Object.assign(openapiObject, { components: { ...openapiObject.components, ...components.all } });
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
 * Marks everything that has a default as optional, and a body as optional if all of its fields are. The schemas require
 * these fields because they describe what the handler gets.
 */
function markOptional({ parameters = [], requestBody }: OpenAPIV3.OperationObject): void {
  for (const parameter of parameters) {
    if ('schema' in parameter && hasDefault(parameter.schema)) parameter.required = false;
  }
  if (!requestBody || '$ref' in requestBody) return;
  for (const { schema } of Object.values(requestBody.content)) {
    if (!schema || '$ref' in schema || schema.type !== 'object') continue;
    // This schema is a copy; the route validates with the original.
    const required = (schema.required ?? []).filter((name) => !hasDefault(schema.properties?.[name]));
    requestBody.required = required.length > 0 || (schema.minProperties ?? 0) > 0;
    schema.required = required;
  }
}

const hasDefault = (schema: object | undefined): boolean => schema !== undefined && 'default' in schema;

/** The groups in Swagger UI, in this order. */
const tags = [
  { name: 'Counters', description: 'Durable, exact, idempotent: the API for production' },
  { name: 'Operations', description: 'Health checks, and the problem codes' },
  {
    name: 'Likes of post 1',
    description: 'The endpoints of the blog post: increments that lose updates, and some that do not',
  },
  { name: 'Strategies', description: 'Every way to count, with one increment for each request' },
  { name: 'Races', description: 'Runs of strategies with concurrent workers, and whether their claims hold' },
  { name: 'Laboratories', description: 'Experiments with transactions, sessions, caches and the ORM' },
];

/** `postCountersNameIncrements` for POST /counters/:name/increments: the name of a method in a generated client. */
function operationIdOf({ method, url }: Pick<RouteOptions, 'method' | 'url'>): string {
  const words = url.split(/[^A-Za-z0-9]+/).filter(Boolean);
  const capitalized = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return [String(method).toLowerCase(), ...capitalized].join('');
}
