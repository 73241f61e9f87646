import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../../errors/problem.ts';

/** Matches text in which `JSON.parse` may change a number: a fraction or an exponent, or 16 digits in a row. */
const SUSPICIOUS = /\d[.eE]|\d{16}/;

const [QUOTE, ZERO, NINE] = [0x22, 0x30, 0x39];

const NUMBER = /\d[\d.eE+-]*/y;

const WHOLE = /^\d+(\.0+)?$/;

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
    return parse(request, text, (error, body) => {
      if (error) return done(isJson(text) ? forbiddenName() : error);
      const fraction = SUSPICIOUS.test(text) ? fractionIn(text) : undefined;
      return fraction === undefined ? done(null, body) : done(notWhole(fraction));
    });
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

const notWhole = (number: string): Problem =>
  new Problem(
    'invalid_request',
    `the body contains the number ${number.slice(0, 40)}; allowed: whole numbers written in digits`,
  );

/** The first number in a JSON text that is not written as a whole number. It looks at each character once. */
function fractionIn(json: string): string | undefined {
  for (let i = 0; i < json.length; i += 1) {
    const character = json.charCodeAt(i);
    if (character === QUOTE) i = endOfString(json, i);
    if (character < ZERO || character > NINE) continue;
    NUMBER.lastIndex = i;
    const [number] = NUMBER.exec(json) as unknown as [string];
    if (!WHOLE.test(number)) return number;
    i += number.length - 1;
  }
  return undefined;
}

/** @returns the position of the quotation mark that ends the string which begins at `start` */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); ; end = json.indexOf('"', end + 1)) {
    let before = end;
    while (json[before - 1] === '\\') before -= 1;
    if ((end - before) % 2 === 0) return end;
  }
}
