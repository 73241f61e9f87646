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
 * The callers that may change something; if the map is empty, every client may.
 *
 * @throws {StartupError} when the file is invalid, or two entries have the same name or token
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
    // Neither names nor keys contain a line feed, so different pairs of them never give the same text.
    const caller = { name, prefix, keyspace: `${name}\n`, quota: new Quota(perSecond) };
    for (const digest of [sha256].flat().map((one) => one.toLowerCase())) {
      const known = callers.get(digest);
      if (known) throw refuse(`sha256 is already that of ${known.name}`);
      callers.set(digest, caller);
    }
  }
  return callers;
}

/** The key by which a token is looked up. The time of a lookup by hash reveals nothing about the valid tokens. */
export const digestOf = (token: string): string => hash('sha256', token, 'hex');
