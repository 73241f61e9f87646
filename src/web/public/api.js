// @ts-check
import { reportUnavailable } from './connection.js';
import { readEvents } from './sse.js';
import { newToken, token } from './token.js';

/** A problem that the service answered with, as a sentence that says what to do. */
export class Refusal extends Error {
  /** @param {{ status?: number, code?: string, title?: string, detail?: string }} problem @param {number} [retryAfterS] */
  constructor({ status = 0, code = '', title = '', detail = '' }, retryAfterS) {
    super(sentence(code, detail || title || `The service answered ${status}.`, retryAfterS));
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** @type {Record<string, string>} */
const SENTENCES = {
  away: 'The service does not answer.',
  queue_full: 'Too many requests are already waiting.',
  busy: 'The database was too busy.',
  out_of_time: 'The request took too long and was stopped.',
  read_only: 'The database is read-only at the moment.',
  database_unavailable: 'The database cannot be reached.',
  shutting_down: 'The service is shutting down.',
  unauthorized: 'Changes require a token that this service accepts.',
};

/** @param {string} code @param {string} detail @param {number} [retryAfterS] */
function sentence(code, detail, retryAfterS) {
  const what =
    SENTENCES[code] ??
    `${detail.charAt(0).toUpperCase()}${detail.slice(1)}${/[.!?]$/.test(detail) ? '' : '.'}`;
  if (code === 'away') return `${what} Try again when it answers.`;
  return retryAfterS ? `${what} Try again in ${retryAfterS} s.` : what;
}

/** @typedef {Omit<RequestInit, 'headers'> & { headers?: Record<string, string> }} Request */

/**
 * Sends a request, with the token if there is one. If the service requires a token, asks the user for it.
 *
 * @param {string} path
 * @param {Request} [options]
 * @returns {Promise<Response>}
 * @throws {Refusal}
 */
export async function request(path, options = {}) {
  const held = token();
  const headers = { ...options.headers, ...(held ? { authorization: `Bearer ${held}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    reportUnavailable();
    throw new Refusal({ code: 'away' });
  }
  if (response.ok) return response;
  if (response.status === 401 && (await newToken(held))) return request(path, options);
  const problem = await response.json().catch(() => ({}));
  const after = Number(response.headers.get('retry-after')) || undefined;
  throw new Refusal(
    { ...problem, status: response.status, ...(response.status === 401 ? { code: 'unauthorized' } : {}) },
    after,
  );
}

/** @param {string} path */
export const get = async (path) => (await request(path)).json();

/** @param {string} path @param {unknown} [body] @param {Record<string, string>} [headers] */
export async function post(path, body, headers = {}) {
  /** @type {Request} */
  const options = { method: 'POST', headers };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { ...headers, 'content-type': 'application/json' };
  }
  return (await request(path, options)).json();
}

/**
 * Yields the server-sent events of this address; a problem event is thrown.
 *
 * @param {string} path
 * @param {AbortSignal} signal
 */
export async function* events(path, signal) {
  const response = await request(path, { signal });
  try {
    for await (const event of readEvents(response)) {
      if (event.event === 'problem') throw new Refusal(event.data);
      yield event;
    }
  } catch (error) {
    if (error instanceof Refusal || signal.aborted) throw error;
    reportUnavailable();
    throw new Refusal({ code: 'away' });
  }
}
