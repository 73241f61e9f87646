import { CounterError, type CounterProblem } from './counter-error.ts';
import { pause } from './pause.ts';
import type {
  CallOptions,
  Changed,
  ClientOptions,
  CounterState,
  Incremented,
  IncrementOptions,
  KeyedCallOptions,
} from './types.ts';

export type * from './types.ts';
export { CounterError, type CounterProblem };

interface Call {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** The longest time that a service can ask a client to wait before the next attempt, in milliseconds. */
const RETRY_AFTER_MS_MAX = 30_000;

/**
 * The counters of a service, over HTTP: for any runtime with `fetch`. What fails in passing is tried again; increments
 * have a key, so that each call counts once whatever fails on the way. All methods throw `CounterError`.
 */
export class CounterClient {
  readonly #url: string;
  readonly #options: ClientOptions;

  /** @param url of the service, with the prefix of the counters' routes if they have one: `http://localhost:3000` */
  constructor(url: string, options: ClientOptions = {}) {
    this.#url = url.replace(/\/+$/, '');
    this.#options = options;
  }

  /** Adds to a counter, which starts at 0 if it does not exist; resolves after the commit. */
  async increment(name: string, options: IncrementOptions = {}): Promise<Incremented> {
    const { by = 1, key = newKey(), partial = false, signal } = options;
    const { json, headers } = await this.#ask({
      method: 'POST',
      path: `${pathOf(name)}/increments`,
      headers: { 'idempotency-key': key },
      body: { by, ...(partial ? { partial } : {}) },
      signal,
    });
    const { value, added = by } = json as { value: number; added?: number };
    return { value, added, replayed: isReplayed({ headers }) };
  }

  /** Adds to up to 1,000 counters, all or nothing. @returns the value after each increment, in their order */
  async incrementAll(
    increments: readonly { name: string; by?: number }[],
    { key = newKey(), signal }: KeyedCallOptions = {},
  ): Promise<number[]> {
    const headers = { 'idempotency-key': key };
    const call = { method: 'POST', path: '/increments', headers, body: increments, signal };
    return ((await this.#ask(call)).json as { value: number }[]).map(({ value }) => value);
  }

  /** @returns every increment that was acknowledged before included; undefined: there is no such counter */
  async read(name: string, { signal }: CallOptions = {}): Promise<CounterState | undefined> {
    try {
      return stateOf((await this.#ask({ method: 'GET', path: pathOf(name), signal })).json);
    } catch (error) {
      if (error instanceof CounterError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  /** @returns those of up to 1,000 counters that exist, by their names, as they were at one moment */
  async readAll(names: readonly string[], { signal }: CallOptions = {}): Promise<Map<string, CounterState>> {
    if (names.length === 0) return new Map();
    const query = new URLSearchParams(names.map((name): [string, string] => ['name', name]));
    const { json } = await this.#ask({ method: 'GET', path: `/counters?${query}`, signal });
    const { counters } = json as { counters: { name: string; value: number }[] };
    return new Map(counters.map((one) => [one.name, stateOf(one)]));
  }

  /**
   * Sets the value and the bounds of a counter, on a condition; what is not given stays as it is.
   *
   * @param expected `missing`: it must not exist; `exists`: it must; a state: it must be in it
   * @returns what it is now, and the value that it had
   */
  async set(
    name: string,
    change: Partial<CounterState>,
    expected: CounterState | 'exists' | 'missing',
    { key = newKey(), signal }: KeyedCallOptions = {},
  ): Promise<Changed> {
    const tag = typeof expected === 'object' ? etagOf(expected) : '*';
    const headers = {
      'idempotency-key': key,
      [expected === 'missing' ? 'if-none-match' : 'if-match']: tag,
    };
    const call = { method: 'PUT', path: pathOf(name), headers, body: change, signal };
    const answer = await this.#ask(call);
    const { replaced = null } = answer.json as { replaced?: number };
    return { ...stateOf(answer.json), replaced, replayed: isReplayed(answer) };
  }

  async #ask(call: Call): Promise<{ json: unknown; headers: Headers }> {
    let unknown = false;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#attempt(call);
      if ('json' in answer) return answer;
      const { status, problem, retryAfterMs = 0, cause } = answer;
      // 503 is a promise only if the service made it, and not a proxy on the way.
      const lost = status === undefined || (status >= 500 && !(status === 503 && problem));
      unknown ||= lost;
      const again = lost || status === 429 || status === 503;
      if (!again || attempt >= (this.#options.attemptsMax ?? 8)) {
        throw new CounterError(problem, { status, counted: unknown ? 'unknown' : 'no', cause });
      }
      // Full jitter: callers that have failed together do not come back together.
      const backoffMs = Math.random() * Math.min(5000, 50 * 2 ** attempt);
      await pause(Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) + backoffMs, call.signal);
    }
  }

  async #attempt({ method, path, headers, body, signal }: Call): Promise<Answer | Failed> {
    const { token, timeoutMs = 20_000, fetch: send = fetch } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await send(`${this.#url}${path}`, {
        method,
        headers: {
          ...headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      if (response.ok) return { json: await response.json(), headers: response.headers };
      const problem = /problem\+json/.test(response.headers.get('content-type') ?? '')
        ? ((await response.json()) as CounterProblem)
        : undefined;
      const retryAfterMs = 1000 * Number(response.headers.get('retry-after')) || 0;
      return { status: response.status, problem, retryAfterMs };
    } catch (cause) {
      signal?.throwIfAborted();
      return { cause };
    }
  }
}

interface Answer {
  json: unknown;
  headers: Headers;
}

interface Failed {
  /** Undefined: there was no answer. */
  status?: number;
  problem?: CounterProblem | undefined;
  retryAfterMs?: number;
  cause?: unknown;
}

const isReplayed = ({ headers }: Pick<Answer, 'headers'>): boolean =>
  headers.get('idempotency-replayed') === 'true';

const pathOf = (name: string): string => `/counters/${encodeURIComponent(name)}`;

/** 128 random bits. (`randomUUID` is missing on pages that were loaded without TLS.) */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );

function stateOf(json: unknown): CounterState {
  const { value, min = null, max = null } = json as Pick<CounterState, 'value'> & Partial<CounterState>;
  return { value, min, max };
}

const etagOf = ({ value, min, max }: CounterState): string =>
  min === null && max === null ? `"${value}"` : `"${value}:${min ?? ''}:${max ?? ''}"`;
