import { hash } from 'node:crypto';
import { Quota } from '../concurrency/quota.ts';
import { StartupError } from '../errors/startup-error.ts';
import type { Caller } from './request-caller.ts';
import { entryName, readTokensFile } from './tokens-file.ts';

/** Callers by the SHA-256 of their tokens, in hexadecimal digits. */
export type Callers = ReadonlyMap<string, Caller>;

interface Tokens {
  API_TOKEN?: string;
  API_TOKENS_FILE?: string;
}

/**
 * The callers that may change something; none: all may.
 *
 * @throws {StartupError} when the file is not as it must be, or two entries have the same name or token
 */
export function callersOf({ API_TOKEN, API_TOKENS_FILE }: Tokens): Callers {
  const callers = new Map<string, Caller>();
  if (API_TOKEN) callers.set(digestOf(API_TOKEN), { name: 'API_TOKEN', prefix: '', keyspace: '' });
  const entries = API_TOKENS_FILE ? readTokensFile(API_TOKENS_FILE) : [];
  const names = new Set<string>();
  for (const [i, { name, sha256, prefix, perSecond }] of entries.entries()) {
    const refuse = (reason: string) => new StartupError(`${entryName(i, name)}: ${reason}`);
    if (names.has(name)) throw refuse('name is already that of another entry');
    names.add(name);
    // A space is in no name and in no key, so no two pairs of them are the same text.
    const caller = { name, prefix, keyspace: `${name} `, quota: new Quota(perSecond) };
    for (const digest of [sha256].flat().map((one) => one.toLowerCase())) {
      const known = callers.get(digest);
      if (known) throw refuse(`sha256 is already that of ${known.name}`);
      callers.set(digest, caller);
    }
  }
  return callers;
}

/** What a token is looked up by: how long that takes says nothing about the tokens that there are. */
export const digestOf = (token: string): string => hash('sha256', token, 'hex');
