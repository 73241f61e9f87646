import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors/problem.ts';

/**
 * Matches text in which `JSON.parse` may change a number: a fraction or an exponent after a digit, or 16 digits in a row,
 * which a double may not hold exactly. The match may be inside a string: `refuseFractions` decides.
 */
const SUSPICIOUS = /\d[.eE]|\d{16}/;

const WHOLE = /^-?\d+$/;

/**
 * Reads the JSON bodies of this scope without silently rounding a number or replacing a character: `JSON.parse` reads
 * 1.00000000000000000001 as 1, and 9007199254740993 as 9007199254740992. Only whole numbers are allowed; one that a
 * double cannot hold exactly is passed on as an unsafe integer, which the routes refuse.
 */
export function readExactJson(app: FastifyInstance): void {
  // The default parser of Fastify, which refuses `__proto__`.
  const parse = app.getDefaultJsonParser('error', 'error');
  // In this scope only: the parser of an enclosing application remains.
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    // Decoding would replace all invalid bytes by the same character, and so make different names equal.
    if (!isUtf8(bytes)) return done(new Problem('invalid_request', 'the body is not UTF-8'));
    // JSON.parse does not accept a byte order mark; the parser would remove it.
    const text = bytes.toString().replace(/^\uFEFF/, '');
    if (SUSPICIOUS.test(text)) {
      try {
        refuseFractions(text);
      } catch (error) {
        if (error instanceof Problem) return done(error);
        // The body is not JSON at all, for which the parser has a better message.
      }
    }
    return parse(request, text, (error, body) => done(error && isJson(text) ? forbiddenName() : error, body));
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const forbiddenName = (): Problem =>
  new Problem('invalid_request', 'the body has a field named __proto__ or constructor, which is not allowed');

/** A reviver that also gets the source text of each number (ECMAScript 2026, JSON.parse source text access). */
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;

const refuseFraction: Reviver = (_key, value, { source }) => {
  if (typeof value === 'number' && source !== undefined && !WHOLE.test(source)) {
    throw new Problem(
      'invalid_request',
      `the body contains the number ${source.slice(0, 40)}; allowed: whole numbers written in digits`,
    );
  }
  return value;
};

/** The reviver is cast because TypeScript's type of `JSON.parse` does not have its third argument yet. */
const refuseFractions = (text: string): unknown =>
  JSON.parse(text, refuseFraction as (key: string, value: unknown) => unknown);
