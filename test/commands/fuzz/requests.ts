import { fc } from '../../property.ts';
import type { ApiDocument, Operation, Parameter } from './document.ts';
import type { Sent } from './http-client.ts';
import { near } from './values.ts';

export interface FuzzRequest extends Sent {
  /** Whether the target and the body are valid; undefined: the document does not say. */
  valid: boolean | undefined;
}

/** A part of a request, and whether it is valid. */
interface Part<T> {
  value: T;
  valid: boolean | undefined;
}

type Pair = [name: string, value: string];

/** Requests to an operation: most of them valid or nearly valid, some malformed. */
export function requestsTo(operation: Operation, document: ApiDocument): fc.Arbitrary<FuzzRequest> {
  const parts = fc.tuple(
    pathOf(operation, document),
    queryOf(operation, document),
    headersOf(operation),
    bodyOf(operation, document),
  );
  return parts.map(([path, query, headers, body]) => {
    const search = query.value.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&');
    const { type, text } = body.value;
    return {
      method: operation.method,
      target: search ? `${path.value}?${search}` : path.value,
      headers: [...headers, ...type.map((one): Pair => ['content-type', one])],
      body: text,
      valid: combined([path.valid, query.valid, body.valid]),
    };
  });
}

/** The example of the document, as Swagger UI sends it. */
export function exampleOf({ method, path, parameters, body }: Operation): FuzzRequest {
  const target = path.replaceAll(/\{(\w+)\}/g, (_all, wanted: string) => {
    const { example, schema } = parameters.find(({ name }) => name === wanted) ?? { schema: {} };
    return encoded(textOf(example ?? schema.enum?.[0] ?? ''));
  });
  const headers = parameters.flatMap(({ in: where, name, example }): Pair[] =>
    where === 'header' && example !== undefined ? [[name, textOf(example)]] : [],
  );
  if (body?.example === undefined) return { method, target, headers, valid: true };
  return {
    method,
    target,
    headers: [...headers, ['content-type', JSON_TYPE]],
    body: JSON.stringify(body.example),
    valid: true,
  };
}

/** An invalid part makes the request invalid; a part of unknown validity makes it unknown. */
function combined(parts: (boolean | undefined)[]): boolean | undefined {
  if (parts.includes(false)) return false;
  return parts.includes(undefined) ? undefined : true;
}

/** Path segments that no client library would send. */
const RAW = ['%', '%zz', '%ff', '%00', '%2F', '%ED%A0%80', '..', ';a=b', '%e2%98', 'a'.repeat(5000)];

function pathOf({ path, parameters }: Operation, document: ApiDocument): fc.Arbitrary<Part<string>> {
  const segments = path
    .split('/')
    .slice(1)
    .map((segment): fc.Arbitrary<Part<string>> => {
      const found = parameters.find(({ in: where, name }) => where === 'path' && segment === `{${name}}`);
      if (!found) return fc.constant({ value: segment, valid: true });
      const fitting = near(found.schema, found.name, found.example).map((value) => {
        const text = textOf(value);
        // With an empty segment, the path belongs to another route.
        return { value: encoded(text), valid: text === '' ? undefined : accepts(document, found, text) };
      });
      const raw = fc.constantFrom(...RAW).map((value) => ({ value, valid: undefined }));
      return fc.oneof({ arbitrary: fitting, weight: 12 }, raw);
    });
  return fc.tuple(...segments).map((all) => ({
    value: all.map(({ value }) => `/${value}`).join(''),
    valid: combined(all.map(({ valid }) => valid)),
  }));
}

function queryOf({ parameters }: Operation, document: ApiDocument): fc.Arbitrary<Part<Pair[]>> {
  const known = parameters.filter((one) => one.in === 'query');
  const each = known.map((one) => {
    const { type, items = {} } = one.schema;
    // A list is sent as a repeated parameter.
    if (type === 'array') return fc.array(near(items, one.name).map(textOf), { maxLength: 3 });
    return fc.array(near(one.schema, one.name, one.example).map(textOf), lengths(one));
  });
  const extra = fc.oneof(
    { arbitrary: fc.constant<Pair[]>([]), weight: 9 },
    fc.constantFrom<Pair[][]>([['extra', '1']], [['__proto__', '1']], [['', '']]),
  );
  return fc.tuple(fc.tuple(...each), extra).map(([values, more]) => {
    const pairs = known.flatMap(({ name }, i) => (values[i] ?? []).map((value): Pair => [name, value]));
    const verdicts = known.map((one, i) => {
      const [first, second] = values[i] ?? [];
      if (one.schema.type === 'array') return first === undefined || acceptsAll(document, one, values[i]);
      if (second !== undefined) return false;
      return first === undefined ? one.required !== true : accepts(document, one, first);
    });
    // A list replaces the other parameters: together with them it may be refused.
    const hasOthers = known.some(
      ({ schema }, i) => schema.type === 'array' && values[i]?.length && pairs.length > values[i].length,
    );
    return {
      value: [...pairs, ...more],
      valid: combined([...verdicts, more.length === 0, hasOthers ? undefined : true]),
    };
  });
}

/** How often a parameter is sent: at least once if it is required; twice is invalid. */
const lengths = ({ required }: Parameter) =>
  required
    ? ({ minLength: 1, maxLength: 2, size: 'xsmall' } as const)
    : ({ maxLength: 2, size: 'xsmall' } as const);

const KEYS = ['a', 'b', 'c', '', ' ', 'two words', 'a,b', 'é', '"quoted"', 'k'.repeat(255), 'k'.repeat(256)];

const TAGS = [
  '*',
  '*',
  '*',
  ' * ',
  '"0"',
  '"1"',
  '"2"',
  'W/"1"',
  '"1", "2"',
  '"1","x",W/"2"',
  '1',
  '"',
  ',',
  '',
  '"a b"',
];
const LONG_LIST = Array.from({ length: 500 }, (_, i) => `"${i}"`).join(', ');

const VALUES: Record<string, string[]> = {
  'idempotency-key': KEYS,
  'if-match': [...TAGS, LONG_LIST],
  'if-none-match': [...TAGS, LONG_LIST],
};

const FOREIGN: Pair[] = [
  ['origin', 'https://evil.example'],
  ['origin', 'null'],
  ['sec-fetch-site', 'cross-site'],
  ['content-encoding', 'gzip'],
  ['accept', 'text/html'],
  ['authorization', 'Bearer wrong'],
  ['if-match', '"0"'],
  ['if-none-match', '*'],
  ['x-http-method-override', 'DELETE'],
  ['cookie', 'a=b; a=c'],
  ['x-long', 'a'.repeat(5000)],
];

/** Each documented header, not at all, once or twice; sometimes a header that no operation documents. */
function headersOf({ parameters }: Operation): fc.Arbitrary<Pair[]> {
  const known = parameters.filter((one) => one.in === 'header');
  const each = known.map(({ name }) => {
    const value = fc.constantFrom(...(VALUES[name] ?? ['']));
    return fc.oneof(
      { arbitrary: fc.constant([]), weight: 5 },
      { arbitrary: fc.tuple(value), weight: 4 },
      { arbitrary: fc.tuple(value, value), weight: 1 },
    );
  });
  const foreign = fc.oneof(
    { arbitrary: fc.constant<Pair[]>([]), weight: 9 },
    fc.constantFrom(...FOREIGN).map((one) => [one]),
  );
  return fc
    .tuple(fc.tuple(...each), foreign)
    .map(([values, more]) => [
      ...known.flatMap(({ name }, i) => (values[i] ?? []).map((value): Pair => [name, value])),
      ...more,
    ]);
}

interface Body {
  /** The values of the Content-Type headers. */
  type: string[];
  text: string | undefined;
}

const JSON_TYPE = 'application/json';

const ODD_BODIES: Body[] = [
  { type: [JSON_TYPE], text: '' },
  { type: [JSON_TYPE], text: '{' },
  { type: [JSON_TYPE], text: '\ufeff{}' },
  { type: [JSON_TYPE], text: '{"__proto__":{}}' },
  { type: [JSON_TYPE], text: '{"by":1,"by":2}' },
  { type: [JSON_TYPE], text: `${'['.repeat(5000)}${']'.repeat(5000)}` },
  { type: ['text/plain'], text: '{}' },
  { type: ['application/xml'], text: '<a/>' },
  { type: ['application/json; charset=latin1'], text: '{}' },
  { type: ['nonsense'], text: '{}' },
  { type: [JSON_TYPE, 'text/plain'], text: '{}' },
  { type: [], text: '{}' },
];

function bodyOf({ body, method }: Operation, document: ApiDocument): fc.Arbitrary<Part<Body>> {
  const none: Body = { type: [], text: undefined };
  const odd = fc.constantFrom(...ODD_BODIES).map((value) => ({ value, valid: undefined }));
  if (!body) {
    const nothing = fc.constant({ value: none, valid: true });
    return method === 'GET' ? nothing : fc.oneof({ arbitrary: nothing, weight: 9 }, odd);
  }
  const { schema, required } = body;
  const fitting = near(schema).map((value) => {
    const text = JSON.stringify(value);
    // The service takes no number with a fraction or an exponent, whatever its value (see exact-json.ts).
    const plain = !/\d[.e]/.test(text);
    const valid = document.accepts(schema, value) ? plain || undefined : false;
    return { value: { type: [JSON_TYPE], text }, valid };
  });
  const missing = fc.constant({ value: none, valid: !required });
  return fc.oneof({ arbitrary: fitting, weight: 9 }, missing, odd);
}

/** Whether the parameter accepts the value that the text in a URL stands for. */
function accepts(document: ApiDocument, { schema }: Parameter, text: string): boolean | undefined {
  const isNumber = schema.type === 'integer' && /^-?\d+$/.test(text);
  return document.accepts(schema, isNumber ? Number(text) : text) && encodable([text]);
}

const acceptsAll = (
  document: ApiDocument,
  { schema }: Parameter,
  texts: readonly string[] = [],
): boolean | undefined => document.accepts(schema, texts) && encodable(texts);

/** A schema does not say that lone surrogates, which it accepts, have no UTF-8 and so no place in a URL. */
const encodable = (texts: readonly string[]): true | undefined =>
  texts.every((text) => text.isWellFormed()) || undefined;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** Lone surrogates cannot be encoded: they are sent as the bytes that UTF-8 would have for them. */
const encoded = (text: string): string =>
  text.isWellFormed()
    ? encodeURIComponent(text)
    : encodeURIComponent(text.toWellFormed()).replaceAll('%EF%BF%BD', '%ED%A0%80');
