import type { RouteOptions } from 'fastify';
import type { OpenAPIV3 } from 'openapi-types';
import { type ProblemCode, type ProblemKind, problems } from '../errors/problem.ts';
import { writes } from './writes.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The problems that this route can answer, in addition to those that follow from its method and its prefix. */
    problems?: readonly ProblemCode[];
  }
}

/** The problems of routes that read the database. */
export const DATABASE_READ = ['busy', 'database_unavailable'] as const satisfies readonly ProblemCode[];

/** The problems of routes that write to the database. */
export const DATABASE_WRITE = [
  ...DATABASE_READ,
  'read_only',
  'disk_full',
  'conflict',
  'outcome_unknown',
] as const satisfies readonly ProblemCode[];

const EVERY_ROUTE = ['invalid_request', 'shutting_down'] as const satisfies readonly ProblemCode[];
const CHANGES = ['forbidden_origin'] as const satisfies readonly ProblemCode[];
const BODIES = ['body_too_large', 'unsupported_media_type'] as const satisfies readonly ProblemCode[];

/** The problems that every path can answer; they are not repeated for each operation. */
const ANYWHERE = [
  'route_not_found',
  'request_too_slow',
  'unsupported_media_type',
  'expectation_failed',
  'forbidden_host',
  'headers_too_large',
  'internal_error',
] as const satisfies readonly ProblemCode[];

/** The problems that a route can answer. */
export function problemsOf(route: RouteOptions): ProblemCode[] {
  const { problems: own = [] } = route.config ?? {};
  const sendsBody = [route.method].flat().some((method) => method !== 'GET' && method !== 'HEAD');
  return [...EVERY_ROUTE, ...(writes(route) ? CHANGES : []), ...(sendsBody ? BODIES : []), ...own];
}

type Answers = Record<string, OpenAPIV3.ReferenceObject>;

/** The problems of all operations as components of the OpenAPI document, so that each combination is described once. */
export class ProblemComponents {
  readonly #responses: Record<string, OpenAPIV3.ResponseObject> = {};

  /** The components that `answers` refers to. */
  get all(): OpenAPIV3.ComponentsObject {
    return { schemas: { Problem: problemSchema }, responses: this.#responses };
  }

  /** The answers of an operation with these problems, by status; `default` has those of every path. */
  answers(codes: readonly ProblemCode[]): Answers {
    const statuses = new Set(codes.map((code) => problems[code].status));
    // An answer with a status of the operation is not described by `default`.
    const shared = ANYWHERE.filter((code) => statuses.has(problems[code].status));
    const byStatus = Object.groupBy(new Set([...codes, ...shared]), (code) => problems[code].status);
    const answers: Answers = {};
    for (const [status, some = []] of Object.entries(byStatus)) answers[status] = this.#refer(some);
    return { ...answers, default: this.#refer(ANYWHERE) };
  }

  #refer(codes: readonly ProblemCode[]): OpenAPIV3.ReferenceObject {
    const sorted = codes.toSorted();
    const name = codes === ANYWHERE ? 'AnyPath' : sorted.join('-or-');
    this.#responses[name] ??= answerOf(sorted);
    return { $ref: `#/components/responses/${name}` };
  }
}

function answerOf(codes: readonly ProblemCode[]): OpenAPIV3.ResponseObject {
  const kinds: ProblemKind[] = codes.map((code) => problems[code]);
  return {
    description: codes.map((code) => `\`${code}\`: ${problems[code].title}`).join('; '),
    ...(kinds.some(({ retryAfterS }) => retryAfterS !== undefined) || codes.includes('out_of_bounds')
      ? { headers: retryAfter }
      : {}),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            { $ref: '#/components/schemas/Problem' },
            { properties: { code: { enum: [...codes], description: 'The kind of problem' } } },
          ],
        },
        examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code) }])),
      },
    },
  };
}

const retryAfter: Record<string, OpenAPIV3.HeaderObject> = {
  'Retry-After': {
    description:
      'Seconds to wait before the request is sent again; missing if a part of the work has already been done, and for out_of_bounds unless the increment would fit into the next window',
    schema: { type: 'integer', minimum: 1 },
  },
};

const problemSchema: OpenAPIV3.SchemaObject = {
  type: 'object',
  description: 'A problem (RFC 9457); GET /problems lists the codes',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code'],
  additionalProperties: false,
  properties: {
    type: { type: 'string', description: 'A relative reference that identifies the code' },
    title: { type: 'string', description: 'The code in words; the same for each request' },
    status: { type: 'integer', description: 'The HTTP status of this answer' },
    detail: {
      type: 'string',
      description: 'What is wrong with this request, and what is allowed or what to do next',
    },
    instance: { type: 'string', description: 'The id of the request, which the log also contains' },
    code: { type: 'string', enum: Object.keys(problems), description: 'The kind of problem, for programs' },
    name: { type: 'string', description: 'Only for out_of_bounds: the name of the counter' },
    window: {
      type: 'string',
      description: 'Only for out_of_bounds: the length of the window, if the increment has one',
    },
    value: {
      type: 'integer',
      description: 'Only for out_of_bounds: the value of the counter when the request was refused',
    },
    min: {
      type: 'integer',
      description: 'Only for out_of_bounds: the minimum of the counter or of the increment, if there is one',
    },
    max: {
      type: 'integer',
      description: 'Only for out_of_bounds: the maximum of the counter or of the increment, if there is one',
    },
    fits: {
      type: 'integer',
      description:
        'Only for out_of_bounds: the amount nearest to the requested one that fits into the bounds',
    },
  },
};

/** Examples of the fields that only some problems have. */
const exampleMembers: Partial<Record<ProblemCode, object>> = {
  out_of_bounds: { name: 'tickets', value: 98, min: 0, max: 100, fits: 2 },
};

const exampleOf = (code: ProblemCode): object => ({
  type: `/problems#${code}`,
  title: problems[code].title,
  status: problems[code].status,
  detail: problems[code].title,
  instance: 'urn:request:5f0c8a52-0f0e-4a43-9d5c-2f7c3f1f6a55',
  code,
  ...exampleMembers[code],
});
