import { Ajv, type Options } from 'ajv';
import type { FastifySchemaCompiler, preValidationAsyncHookHandler, preValidationHookHandler } from 'fastify';
import type { FastifySchemaValidationError, FastifyValidationResult } from 'fastify/types/schema.js';
import { Type } from 'typebox';
import { Problem } from '../errors/problem.ts';

/** No field is removed silently: an unknown field is an error. */
const options: Options = { useDefaults: true, verbose: true };

/** For paths, queries and headers, whose values are text; the values of a JSON body already have types. */
const ofText = new Ajv({ ...options, allErrors: true });
// Without `allErrors`: a body can be long, and so could the list of its errors.
const ofBody = new Ajv(options);

export const compileValidator: FastifySchemaCompiler<object> = ({ schema, httpPart }) =>
  httpPart === 'body' ? ofBody.compile(schema) : textValidator(schema);

/** Converts a text to the type that the schema requires. */
const READ: Record<string, (text: string) => unknown> = {
  // Decimal digits only. Ajv would also accept 0x10, 1e1 and a blank, as JavaScript does.
  integer: (text) => (/^-?\d+$/.test(text) ? Number(text) : text),
  number: (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' || text === 'false' ? text === 'true' : text),
  array: (text) => [text],
};

/** Converts texts to the types of the schema, and then validates. A text that cannot be converted is refused. */
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

/** For routes without query parameters: a query parameter is refused rather than ignored. */
export const noQuery = Type.Object({}, { additionalProperties: false });

/** For routes whose body is optional: without a body, every field has its default. */
export const allowNoBody: preValidationHookHandler = (request, _reply, done) => {
  if (request.body === undefined) request.body = {};
  done();
};

/** For routes without a body: a field in a body is refused rather than ignored. */
export const refuseBody: preValidationAsyncHookHandler = async ({ body }) => {
  if (body == null || Object.keys(body).length === 0) return;
  throw new Problem(
    'invalid_request',
    'this route takes its parameters from the path and the query; the body must be empty',
  );
};

/** The form of a text, if its schema describes it: "1 to 200 characters", instead of a regular expression. */
function formOf({ keyword, ...error }: FastifySchemaValidationError): string | undefined {
  const { description = '' } = (error as { parentSchema?: { description?: string } }).parentSchema ?? {};
  const isForm = /^\d+ to \d+ characters/.test(description);
  return isForm && ['pattern', 'minLength', 'maxLength'].includes(keyword)
    ? description.split(';')[0]
    : undefined;
}

/** Describes what is wrong with a request and what is allowed, in one sentence. */
export function explainValidation(errors: FastifySchemaValidationError[], where: string): Error {
  const part = where === 'querystring' ? 'query' : where === 'params' ? 'path' : where;
  const kind = where === 'body' ? 'field' : 'parameter';
  const types = (path: string) =>
    errors.flatMap(({ instancePath, keyword, params }) =>
      keyword === 'type' && instancePath === path ? String(params.type) : [],
    );
  const sentences = errors.flatMap((error) => {
    const { instancePath, keyword, params, message } = error;
    // Of a field that may be null; the errors of its types say it.
    if (keyword === 'anyOf') return [];
    const name = instancePath ? `${part} ${kind} "${instancePath.slice(1)}"` : `the ${part}`;
    if (keyword === 'additionalProperties')
      return `${name} has an unknown field "${String(params.additionalProperty)}"`;
    if (keyword === 'type') return `${name} must be ${types(instancePath).join(' or ')}`;
    const form = formOf(error);
    if (form) return `${name} must have ${form}`;
    if (keyword === 'pattern') return `${name} contains characters that are not allowed`;
    if (keyword === 'enum') return `${name} must be one of ${(params.allowedValues as unknown[]).join(', ')}`;
    return `${name} ${message ?? 'is not valid'}`;
  });
  return new Error([...new Set(sentences)].join('; '));
}
