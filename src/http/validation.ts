import { Ajv, type Options } from 'ajv';
import type { FastifySchemaCompiler, preValidationAsyncHookHandler, preValidationHookHandler } from 'fastify';
import type { FastifySchemaValidationError, FastifyValidationResult } from 'fastify/types/schema.js';
import { Type } from 'typebox';
import { Problem } from '../errors/problem.ts';

/** Nothing is dropped in silence: an unknown field is an error, not a wish to ignore. */
const options: Options = { useDefaults: true };

/** Addresses and headers are text; a body says itself what is a number. */
const ofText = new Ajv({ ...options, allErrors: true });
// A body can be long, and so could the list of what is wrong with it: it ends at the first thing.
const ofBody = new Ajv(options);

export const compileValidator: FastifySchemaCompiler<object> = ({ schema, httpPart }) =>
  httpPart === 'body' ? ofBody.compile(schema) : textValidator(schema);

/** What can be read from a text, by the type that the schema asks for. */
const READ: Record<string, (text: string) => unknown> = {
  // Decimal digits only. Ajv reads what JavaScript does: 0x10, 1e1 and a blank as well.
  integer: (text) => (/^-?\d+$/.test(text) ? Number(text) : text),
  number: (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' || text === 'false' ? text === 'true' : text),
  array: (text) => [text],
};

/** Reads the texts that are not meant as such, then validates. What cannot be read stays a text, and is refused. */
function textValidator(schema: object): FastifyValidationResult {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> };
  const readers = Object.entries(properties).flatMap(([name, { type = '' }]) => {
    const read = READ[type];
    return read ? [[name, read] as const] : [];
  });
  const validate = ofText.compile(schema) as FastifyValidationResult;
  if (readers.length === 0) return validate;
  const readAndValidate: FastifyValidationResult = (data: Record<string, unknown>) => {
    for (const [name, read] of readers) {
      const text = data[name];
      if (typeof text === 'string') data[name] = read(text);
    }
    const valid = validate(data);
    readAndValidate.errors = validate.errors ?? null;
    return valid;
  };
  return readAndValidate;
}

/** For routes that take no parameters in the address: one would be ignored, and that is better said than done. */
export const noQuery = Type.Object({}, { additionalProperties: false });

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
