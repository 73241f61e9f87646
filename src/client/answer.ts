import type { Changed, CounterState, Page, WindowCount } from './types.ts';

/** A counter in an answer of the service. */
interface CounterJson {
  name: string;
  value: number;
  min?: number;
  max?: number;
  expires_at?: string;
  added?: number;
  replaced?: number;
}

/** @throws {TypeError} when the answer is not a counter */
export function counterIn(json: unknown): CounterJson {
  if (Number.isSafeInteger((json as Partial<CounterJson> | null)?.value)) return json as CounterJson;
  throw new TypeError('the answer is not a counter');
}

/** @throws {TypeError} when the answer is not a list, or not of this length */
export function listIn(json: unknown, length?: number): unknown[] {
  if (Array.isArray(json) && (length === undefined || json.length === length)) return json;
  throw new TypeError('the answer is not a list of counters');
}

export function stateIn(json: unknown): CounterState {
  const { value, min = null, max = null, expires_at: expiresAt = null } = counterIn(json);
  return { value, min, max, expiresAt };
}

/** @throws {TypeError} when it is no page of counters */
export function pageIn(json: unknown): Page {
  const { counters, next } = (json ?? {}) as { counters?: unknown; next?: unknown };
  if (next !== null && typeof next !== 'string') throw new TypeError('the answer is not a page of counters');
  return {
    counters: listIn(counters).map((counter) => ({ name: counterIn(counter).name, ...stateIn(counter) })),
    next,
  };
}

/** The counters of a list, by name. @throws {TypeError} when the answer is not a list of counters */
export function statesIn(json: unknown): Map<string, CounterState> {
  const list = listIn((json as { counters?: unknown } | null)?.counters);
  return new Map(list.map((counter) => [counterIn(counter).name, stateIn(counter)]));
}

/** @throws {TypeError} when the answer is not a list of windows, or not of this length */
export const windowsIn = (json: unknown, length: number): WindowCount[] =>
  listIn((json as { windows?: unknown } | null)?.windows, length) as WindowCount[];

export function changedIn(json: unknown, headers: Headers): Changed {
  const { replaced = null } = counterIn(json);
  return { ...stateIn(json), replaced, replayed: isReplayed(headers) };
}

export const isReplayed = (headers: Headers): boolean => headers.get('idempotency-replayed') === 'true';
