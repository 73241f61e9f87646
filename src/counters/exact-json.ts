import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors/problem.ts';

/**
 * Where a number could be read as another one than was written: a fraction or an exponent that follows a digit, or
 * more digits than any double keeps. It may stand inside a string; that is found out by looking closer.
 */
const SUSPICIOUS = /\d[.eE]|\d{16}/;

const WHOLE = /^-?\d+$/;

/**
 * Reads JSON bodies of this scope so that no number is rounded, and no character replaced, in silence: `JSON.parse` makes 1 of
 * 1.00000000000000000001, and 9007199254740992 of 9007199254740993. Whole numbers only; those that a double cannot
 * hold exactly arrive as a number that is not safe, which the routes refuse.
 */
export function readExactJson(app: FastifyInstance): void {
  // The one that Fastify uses itself: `__proto__` is an error.
  const parse = app.getDefaultJsonParser('error', 'error');
  // That of an application around this scope stays its own.
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    // Otherwise all that is no UTF-8 becomes the same character, and different names one.
    if (!isUtf8(bytes)) return done(new Problem('invalid_request', 'the body is not UTF-8'));
    const text = bytes.toString();
    if (SUSPICIOUS.test(text)) {
      try {
        refuseFractions(text);
      } catch (error) {
        if (error instanceof Problem) return done(error);
        // Not JSON at all: the parser says that better.
      }
    }
    return parse(request, text, done);
  });
}

/** With the text of each number (ECMAScript 2026, JSON.parse source text access). */
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;

const refuseFraction: Reviver = (_key, value, { source }) => {
  if (typeof value === 'number' && source !== undefined && !WHOLE.test(source)) {
    throw new Problem(
      'invalid_request',
      `the body has the number ${source.slice(0, 40)}; allowed: whole numbers, written in digits`,
    );
  }
  return value;
};

/** The type of `JSON.parse` does not know the third argument yet. */
const refuseFractions = (text: string): unknown =>
  JSON.parse(text, refuseFraction as (key: string, value: unknown) => unknown);
