import { Ajv, type Options } from 'ajv';
import type { FastifySchemaCompiler, preValidationAsyncHookHandler, preValidationHookHandler } from 'fastify';
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { Problem } from '../errors/problem.ts';

/** Nothing is dropped in silence: an unknown field is an error, not a wish to ignore. */
const options: Options = { useDefaults: true };

/** Addresses and headers are text, whose numbers have to be read; a body says itself what is a number. */
const ofText = new Ajv({ ...options, coerceTypes: 'array', allErrors: true });
// A body can be long, and so could the list of what is wrong with it: it ends at the first thing.
const ofBody = new Ajv(options);

export const compileValidator: FastifySchemaCompiler<object> = ({ schema, httpPart }) =>
  (httpPart === 'body' ? ofBody : ofText).compile(schema);

/** For routes whose body may be missing: everything in it is as by default then. */
export const allowNoBody: preValidationHookHandler = (request, _reply, done) => {
  if (request.body === undefined) request.body = {};
  done();
};

/** For routes without a body: a parameter in one would be ignored, and that is better said than done. */
export const refuseBody: preValidationAsyncHookHandler = async ({ body }) => {
  if (body == null || Object.keys(body).length === 0) return;
  throw new Problem(
    'invalid_request',
    'the parameters of this route go into the address; the body must be empty',
  );
};

/** Says of a request that does not fit its schema what was wrong and what is allowed, in one sentence. */
export function explainValidation(errors: FastifySchemaValidationError[], where: string): Error {
  const part = where === 'querystring' ? 'query' : where === 'params' ? 'path' : where;
  const kind = where === 'body' ? 'field' : 'parameter';
  const sentences = errors.map(({ instancePath, keyword, params, message }) => {
    const name = instancePath ? `${part} ${kind} "${instancePath.slice(1)}"` : `the ${part}`;
    if (keyword === 'additionalProperties')
      return `${name} has an unknown field "${String(params.additionalProperty)}"`;
    if (keyword === 'enum') return `${name} must be one of ${(params.allowedValues as unknown[]).join(', ')}`;
    return `${name} ${message ?? 'is not valid'}`;
  });
  return new Error([...new Set(sentences)].join('; '));
}
