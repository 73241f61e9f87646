import { isUtf8 } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import { Ajv, type ErrorObject } from 'ajv';
import { type Static, Type } from 'typebox';
import { messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';

const BYTES_MAX = 1_048_576;
const ENTRIES_MAX = 1000;

const hash = Type.String({ pattern: '^[0-9A-Fa-f]{64}$' });

const entry = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    sha256: Type.Union([hash, Type.Array(hash, { minItems: 1, maxItems: 2 })]),
    prefix: Type.String({ maxLength: 200, pattern: '^[^\\p{Cc}\\p{Cs}]*$' }),
    perSecond: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  },
  { additionalProperties: false },
);

/** The allowed values of each field of an entry, for error messages. */
const allowed: Record<string, string> = {
  name: '1 to 64 letters, digits or ._-',
  sha256: '64 hexadecimal digits, or a list of two such hashes while a token is being replaced',
  prefix: '0 to 200 characters, any but control characters',
  perSecond: 'an integer from 1 to 1000000',
};

const entries = Type.Array(entry, { minItems: 1, maxItems: ENTRIES_MAX });
const validate = new Ajv().compile<TokenEntry[]>(entries);

/** An entry of the file: a name, the hash of a token, the prefix of the counters that it may change, and a quota. */
export type TokenEntry = Static<typeof entry>;

/**
 * Reads the file of tokens: a JSON array.
 *
 * @throws {StartupError} that names the first invalid entry, its field, and what is allowed
 */
export function readTokensFile(path: string): TokenEntry[] {
  const read = parse(readText(path));
  if (validate(read)) return read;
  throw new StartupError(explain(validate.errors?.[0], read));
}

function readText(path: string): string {
  try {
    const stat = statSync(path);
    // The size of anything else, such as a pipe, cannot be limited.
    if (!stat.isFile()) throw new StartupError('it is not a file');
    if (stat.size > BYTES_MAX) throw new StartupError(`it is larger than ${BYTES_MAX} bytes`);
    const bytes = readFileSync(path);
    if (!isUtf8(bytes)) throw new StartupError('it is not text in UTF-8');
    // Some editors begin a file with a byte order mark.
    return bytes.toString().replace(/^\uFEFF/, '');
  } catch (error) {
    if (error instanceof StartupError) throw error;
    throw new StartupError(`it cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Without the parser's message, which quotes the file.
    throw new StartupError('it is not JSON', { cause: error });
  }
}

/** Names the entry and the field, but not the value, which may be a token in the wrong place. */
function explain(error: ErrorObject | undefined, read: unknown): string {
  const { instancePath = '', keyword, params = {} } = error ?? {};
  const [, index, field] = instancePath.split('/');
  if (index === undefined) return `it must be an array of 1 to ${ENTRIES_MAX} entries`;
  const where = entryName(Number(index), (read as { name?: unknown }[])[Number(index)]?.name);
  if (keyword === 'required') return `${where} has no ${String(params.missingProperty)}`;
  if (keyword === 'additionalProperties')
    return `${where} has an unknown field ${JSON.stringify(params.additionalProperty)}`;
  if (field === undefined) return `${where} must be an object`;
  return `${where}: ${field} must be ${allowed[field]}`;
}

/** An entry in words: its position, counted from 1, and its name if it has one. */
export const entryName = (index: number, name: unknown): string =>
  `entry ${index + 1}${typeof name === 'string' ? ` (${JSON.stringify(name.slice(0, 64))})` : ''}`;
