import type { FastifyInstance } from 'fastify';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export interface Schema {
  type?: string;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Schema;
  example?: unknown;
}

interface Response {
  $ref?: string;
  headers?: Record<string, unknown>;
  content?: Record<string, { schema: Schema }>;
}

export interface Operation {
  method: string;
  path: string;
  parameters: Parameter[];
  body?: { required: boolean; schema: Schema; example?: unknown } | undefined;
  responses: Record<string, Response>;
}

interface Described {
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: Schema; example?: unknown }> };
  responses: Record<string, Response>;
}

interface Components {
  responses: Record<string, Response>;
}

/** A documented answer, and the place of the schema of each of its content types. */
export interface Documented {
  headers: string[];
  types: Record<string, ValidateFunction>;
}

/** The description of the API, read as its users read it. */
export class ApiDocument {
  readonly operations: Operation[];
  readonly #components: Components;
  // Unknown keywords are those of OpenAPI around the schemas.
  readonly #ajv = new Ajv2020({ strict: false, formats: { 'date-time': isDate } });

  constructor(text: object) {
    const { paths, components } = text as {
      paths: Record<string, Record<string, Described>>;
      components: Components;
    };
    this.#components = components;
    this.#ajv.addSchema(text, 'api');
    this.operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]) => {
        const json = requestBody?.content['application/json'];
        const body = json && { ...json, required: requestBody?.required ?? false };
        return { method: method.toUpperCase(), path, parameters, body, responses };
      }),
    );
  }

  static async of(app: FastifyInstance): Promise<ApiDocument> {
    return new ApiDocument((await app.inject('/docs/json')).json());
  }

  accepts(schema: Schema, value: unknown): boolean {
    return this.#ajv.validate(schema, value);
  }

  /** @returns undefined when the operation has no such answer, nor one by default */
  documented({ method, path, responses }: Operation, status: number): Documented | undefined {
    const key = responses[status] ? String(status) : 'default';
    const response = responses[key];
    if (!response) return undefined;
    const referred = response.$ref?.split('/').at(-1);
    const { headers = {}, content = {} } = referred ? (this.#components.responses[referred] ?? {}) : response;
    const place = referred
      ? ['components', 'responses', referred]
      : ['paths', path, method.toLowerCase(), 'responses', key];
    const types = Object.keys(content).map((type) => {
      const pointer = [...place, 'content', type, 'schema'].map(escaped).join('/');
      return [type, this.#ajv.compile({ $ref: `api#/${pointer}` })] as const;
    });
    return { headers: Object.keys(headers), types: Object.fromEntries(types) };
  }
}

const isDate = (text: string): boolean => !Number.isNaN(Date.parse(text));

/** A step of a JSON pointer (RFC 6901) in the fragment of an address. */
const escaped = (step: string): string =>
  encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'));
