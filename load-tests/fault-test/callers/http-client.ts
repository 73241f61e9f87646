import { Agent, request } from 'node:http';
import { codeOf, messageOf } from '../../../src/errors/caught.ts';
import type { CounterRequest } from './request.ts';

/** What one try of a request came to. */
export type TryResult =
  | { outcome: 'acknowledged'; values: number[]; replayed: boolean }
  | { outcome: 'refused' | 'unknown'; code: string }
  | { outcome: 'unknown'; code: string; unexpected: string };

/** Connections to the service that are kept open, one for each request under way. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true });

  /**
   * Sends one request, once, and does not throw: whatever goes wrong is an outcome.
   *
   * @param patienceMs how long to wait for the answer, in milliseconds
   */
  async send(port: number, wanted: CounterRequest, patienceMs: number): Promise<TryResult> {
    try {
      const reply = await this.#ask(port, wanted, patienceMs);
      return reply.status < 300 ? acknowledged(reply) : failed(reply, wanted.refusals);
    } catch (error) {
      const code = codeOf(error) ?? messageOf(error);
      // There was no process to send it to. After anything else it may have been read.
      return { outcome: code === 'ECONNREFUSED' ? 'refused' : 'unknown', code };
    }
  }

  /** The value of a counter; `missing`: there is none; undefined: it could not be read. */
  async read(port: number, name: string, patienceMs: number): Promise<number | 'missing' | undefined> {
    try {
      const reply = await this.#ask(
        port,
        { method: 'GET', path: `/counters/${name}`, headers: {} },
        patienceMs,
      );
      if (reply.status === 404) return 'missing';
      return reply.status === 200 ? (JSON.parse(reply.body) as { value: number }).value : undefined;
    } catch {
      return undefined;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(
    port: number,
    { method, path, headers, body }: Pick<CounterRequest, 'method' | 'path' | 'headers' | 'body'>,
    patienceMs: number,
  ): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const sent = request(
      {
        agent: this.#agent,
        host: '127.0.0.1',
        port,
        path,
        method,
        timeout: patienceMs,
        headers: {
          ...headers,
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => {
          const replayed = response.headers['idempotency-replayed'] === 'true';
          resolve({ status: response.statusCode ?? 0, body: text, replayed });
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }
}

interface Reply {
  status: number;
  body: string;
  replayed: boolean;
}

function acknowledged({ status, body, replayed }: Reply): TryResult {
  if (status === 204) return { outcome: 'acknowledged', values: [], replayed };
  const answer = JSON.parse(body) as { value: number } | { value: number }[];
  const values = (Array.isArray(answer) ? answer : [answer]).map(({ value }) => value);
  return { outcome: 'acknowledged', values, replayed };
}

/**
 * What the service says of itself: 503 means that nothing was counted, as do the refusals that the request deserves.
 * What else it says needs explaining.
 */
function failed({ status, body }: Reply, refusals: readonly string[]): TryResult {
  const { code = 'none', detail = '' } = JSON.parse(body) as { code?: string; detail?: string };
  if (status === 503 || refusals.includes(code)) return { outcome: 'refused', code };
  if (code === 'outcome_unknown') return { outcome: 'unknown', code };
  return { outcome: 'unknown', code, unexpected: `${status} ${code}: ${detail}` };
}
