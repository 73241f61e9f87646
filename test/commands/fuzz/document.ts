import type { FastifyInstance } from 'fastify';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export interface Schema {
  type?: string;
  enum?: unknown[];
  anyOf?: Schema[];
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

/** A documented answer: its headers, and a validator for each of its content types. */
export interface Documented {
  headers: string[];
  types: Record<string, ValidateFunction>;
}

/** The OpenAPI document, read as clients read it. */
export class ApiDocument {
  readonly operations: Operation[];
  readonly #components: Components;
  // Not strict: the document has keywords of OpenAPI, which Ajv does not know.
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

  /** @returns undefined if the operation documents neither this status nor a default */
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

/** Escapes a step of a JSON pointer (RFC 6901) for the fragment of a URI. */
const escaped = (step: string): string =>
  encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'));
