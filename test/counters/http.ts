import type { FastifyInstance, InjectOptions } from 'fastify';

/** If-None-Match and If-Match for a counter that must not exist, and for one that must. */
export const NEW = { 'if-none-match': '*' };
export const ANY = { 'if-match': '*' };

const at = (name: string) => `/counters/${encodeURIComponent(name)}`;

/** Requests to the counters of a service. Each resolves with the status, the body and the headers of the answer. */
export function countersOf(app: FastifyInstance) {
  async function ask(method: InjectOptions['method'], url: string, payload?: object, headers = {}) {
    const answer = await app.inject({
      method,
      url,
      headers,
      ...(payload ? { payload } : {}),
    } as InjectOptions);
    return { status: answer.statusCode, body: answer.body && answer.json(), headers: answer.headers };
  }
  return {
    ask,
    get: (name: string) => ask('GET', at(name)),
    put: (name: string, payload: object, headers: object = ANY) => ask('PUT', at(name), payload, headers),
    add: (name: string, payload?: object, headers = {}) =>
      ask('POST', `${at(name)}/increments`, payload, headers),
  };
}

export type Requests = ReturnType<typeof countersOf>;
