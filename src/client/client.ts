import { assertWellFormed, invalid, pathOf, windowOf } from './address.ts';
import { assertKey, assertOptions } from './options.ts';
import { changedIn, counterIn, isReplayed, listIn, pageIn, stateIn, statesIn, windowsIn } from './answer.ts';
import { CounterError, type CounterProblem } from './counter-error.ts';
import { pause } from './pause.ts';
import type {
  AllIncremented,
  CallOptions,
  Changed,
  ClientOptions,
  CounterState,
  ExpectedState,
  Incremented,
  IncrementItem,
  IncrementOptions,
  KeyedCallOptions,
  Listing,
  Page,
  WindowCount,
} from './types.ts';

export type * from './types.ts';
export { CounterError, type CounterProblem };

interface Call<T> {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** Reads an answer. @throws {TypeError} when it is not from the service: then it is unknown whether anything changed */
  read: (json: unknown, headers: Headers) => T;
}

/** The longest time that a service can ask a client to wait before the next attempt, in milliseconds. */
const RETRY_AFTER_MS_MAX = 30_000;

/**
 * A client for the counters of a service, over HTTP, for any runtime with `fetch`. It retries after transient failures.
 * Increments have a key, so that each call counts once, whatever fails on the way. All methods throw `CounterError`.
 */
export class CounterClient {
  readonly #url: string;
  readonly #options: ClientOptions;

  /** @param url the address of the service, with the prefix of the routes if they have one: `http://localhost:3000` */
  constructor(url: string, options: ClientOptions = {}) {
    assertOptions(url, options);
    this.#url = url.replace(/\/+$/, '');
    this.#options = options;
  }

  /** Adds to a counter, which starts at 0 if it does not exist; resolves after the commit. */
  async increment(name: string, options: IncrementOptions = {}): Promise<Incremented> {
    const { by = 1, key = newKey(), partial = false, min, max, window, signal } = options;
    return this.#ask({
      method: 'POST',
      path: `${pathOf(name)}/increments`,
      headers: { 'idempotency-key': key },
      body: { by, ...(partial ? { partial } : {}), min, max, window },
      signal,
      read: (json, headers) => {
        const { value, added = by } = counterIn(json);
        return { value, added, replayed: isReplayed(headers) };
      },
    });
  }

  /** Adds to up to 1,000 counters, all or nothing, in one commit. */
  async incrementAll(
    increments: readonly IncrementItem[],
    { key = newKey(), signal }: KeyedCallOptions = {},
  ): Promise<AllIncremented> {
    const headers = { 'idempotency-key': key };
    const read = (json: unknown, answered: Headers) => ({
      values: listIn(json, increments.length).map((counter) => counterIn(counter).value),
      replayed: isReplayed(answered),
    });
    return this.#ask({ method: 'POST', path: '/increments', headers, body: increments, signal, read });
  }

  /** @returns the state, including every increment acknowledged before; undefined: there is no such counter */
  async read(name: string, { signal }: CallOptions = {}): Promise<CounterState | undefined> {
    try {
      return await this.#ask({ method: 'GET', path: pathOf(name), signal, read: stateIn });
    } catch (error) {
      if (error instanceof CounterError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  /**
   * @param names up to 1,000; the URL contains them, and with the headers it may not exceed 16 KiB (`headers_too_large`)
   * @returns the counters that exist, by name, all as of one moment
   */
  async readAll(names: readonly string[], { signal }: CallOptions = {}): Promise<Map<string, CounterState>> {
    if (names.length === 0) return new Map();
    for (const name of names) assertWellFormed(name);
    const query = new URLSearchParams(names.map((name): [string, string] => ['name', name]));
    return this.#ask({ method: 'GET', path: `/counters?${query}`, signal, read: statesIn });
  }

  /**
   * @param window the length of the windows, as in `increment`
   * @param last how many windows, 1 to 60, including the current one
   * @returns the count of each window, the current one first; windows without an increment have 0
   */
  async readWindows(
    name: string,
    window: string,
    last = 1,
    { signal }: CallOptions = {},
  ): Promise<WindowCount[]> {
    const path = `${pathOf(name)}/windows/${windowOf(window)}?last=${last}`;
    return this.#ask({ method: 'GET', path, signal, read: (json) => windowsIn(json, last) });
  }

  /**
   * Sets the value, the bounds and the expiry of a counter on a precondition; fields that are not given do not change.
   *
   * @param expected `missing`: the counter must not exist; `exists`: it must exist; a state: it must be in this state
   * @returns the state after the change, and the value before it
   */
  async set(
    name: string,
    change: Partial<CounterState>,
    expected: ExpectedState | 'exists' | 'missing',
    { key = newKey(), signal }: KeyedCallOptions = {},
  ): Promise<Changed> {
    const tag = typeof expected === 'object' ? etagOf(expected) : '*';
    const headers = {
      'idempotency-key': key,
      [expected === 'missing' ? 'if-none-match' : 'if-match']: tag,
    };
    const { expiresAt, ...others } = change;
    const body = { ...others, expires_at: expiresAt };
    return this.#ask({ method: 'PUT', path: pathOf(name), headers, body, signal, read: changedIn });
  }

  /**
   * Deletes a counter; resolves as well if there is no such counter.
   *
   * @param expected `exists`: in any state; a state: it must be in this state
   */
  async delete(
    name: string,
    expected: ExpectedState | 'exists',
    { signal }: CallOptions = {},
  ): Promise<void> {
    const headers = { 'if-match': expected === 'exists' ? '*' : etagOf(expected) };
    try {
      await this.#ask({ method: 'DELETE', path: pathOf(name), headers, signal, read: () => undefined });
    } catch (error) {
      // Also if the answer to an earlier attempt, which deleted it, was lost.
      if (!(error instanceof CounterError && error.code === 'not_found')) throw error;
    }
  }

  /** @returns a page of counters, in the order of the code points of their names */
  async list({ prefix, after, limit, signal }: Listing = {}): Promise<Page> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ prefix, after, limit: limit?.toString() })) {
      if (value === undefined) continue;
      assertWellFormed(value);
      query.set(name, value);
    }
    return this.#ask({ method: 'GET', path: `/counters?${query}`, signal, read: pageIn });
  }

  async #ask<T>(call: Call<T>): Promise<T> {
    if (call.headers && KEY in call.headers) assertKey(call.headers[KEY]);
    const body = textOf(call.body);
    let unknown = false;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#attempt(call, body);
      if ('result' in answer) return answer.result;
      const { status, problem, retryAfterMs = 0, cause } = answer;
      // A 503 means that nothing was counted only if it comes from the service, and not from a proxy.
      const mayBeCounted = status === undefined || (status >= 500 && !(status === 503 && problem));
      unknown ||= mayBeCounted && call.method !== 'GET';
      const isTransient = status === 429 || status === 503 || problem?.code === 'conflict';
      const retryable = mayBeCounted || isTransient;
      if (!retryable || attempt >= (this.#options.attemptsMax ?? 8)) {
        throw new CounterError(problem, {
          status,
          counted: unknown ? 'unknown' : 'no',
          retryAfterMs: retryAfterMs || undefined,
          cause,
        });
      }
      // Full jitter: callers that failed at the same time do not retry at the same time.
      const backoffMs = Math.random() * Math.min(5000, 50 * 2 ** attempt);
      await pause(Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) + backoffMs, call.signal);
    }
  }

  async #attempt<T>(
    { method, path, headers, signal, read }: Call<T>,
    body: string | undefined,
  ): Promise<{ result: T } | Failed> {
    const { token, timeoutMs = 60_000, fetch: send = fetch } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await send(`${this.#url}${path}`, {
        method,
        headers: {
          ...headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body }),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      if (response.ok) {
        const json: unknown = response.status === 204 ? undefined : await response.json();
        return { result: read(json, response.headers) };
      }
      const retryAfterMs = 1000 * Number(response.headers.get('retry-after')) || 0;
      const failed = { status: response.status, retryAfterMs };
      if (/problem\+json/.test(response.headers.get('content-type') ?? ''))
        return { ...failed, problem: (await response.json()) as CounterProblem };
      // Otherwise, it would keep its connection. The call does not wait for it.
      response.body?.cancel().catch(() => {});
      return failed;
    } catch (cause) {
      signal?.throwIfAborted();
      return { cause };
    }
  }
}

const KEY = 'idempotency-key';

/** @throws {CounterError} `invalid_request` when the body contains a value that JSON does not have, such as a BigInt */
function textOf(body: unknown): string | undefined {
  try {
    return body === undefined ? undefined : JSON.stringify(body);
  } catch (error) {
    throw invalid(`the request cannot be written as JSON: ${String(error)}`);
  }
}

interface Failed {
  /** The status of the answer; undefined: there was none. */
  status?: number;
  problem?: CounterProblem | undefined;
  retryAfterMs?: number;
  cause?: unknown;
}

/** A key of 128 random bits. (`randomUUID` is missing on pages that were loaded without TLS.) */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );

function etagOf({ value, min, max, expiresAt }: ExpectedState): string {
  const expiry = expiresAt == null ? '' : `:${Date.parse(expiresAt)}`;
  return min == null && max == null && expiry === ''
    ? `"${value}"`
    : `"${value}:${min ?? ''}:${max ?? ''}${expiry}"`;
}
