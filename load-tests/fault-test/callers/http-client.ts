import { Agent, request } from 'node:http';
import { codeOf, messageOf } from '../../../src/errors/caught.ts';
import type { CounterRequest } from './request.ts';

/** The result of one attempt to send a request. */
export type AttemptResult =
  | { outcome: 'acknowledged'; values: number[]; replayed: boolean }
  | { outcome: 'refused' | 'unknown'; code: string }
  | { outcome: 'unknown'; code: string; unexpected: string };

/** An HTTP client with keep-alive connections, one for each request in flight. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true });

  /**
   * Sends a request once. Does not throw: every failure is an outcome.
   *
   * @param timeoutMs the time limit for the answer, in milliseconds
   */
  async send(port: number, wanted: CounterRequest, timeoutMs: number): Promise<AttemptResult> {
    try {
      const reply = await this.#ask(port, wanted, timeoutMs);
      return reply.status < 300 ? acknowledged(reply) : failed(reply, wanted.refusals);
    } catch (error) {
      const code = codeOf(error) ?? messageOf(error);
      // No process listened, so the request was not sent. After any other error, the service may have read it.
      return { outcome: code === 'ECONNREFUSED' ? 'refused' : 'unknown', code };
    }
  }

  /** Reads the value of a counter; `missing`: it does not exist; undefined: it could not be read. */
  async read(port: number, name: string, timeoutMs: number): Promise<number | 'missing' | undefined> {
    try {
      const reply = await this.#ask(
        port,
        { method: 'GET', path: `/counters/${name}`, headers: {} },
        timeoutMs,
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
    timeoutMs: number,
  ): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const sent = request(
      {
        agent: this.#agent,
        host: '127.0.0.1',
        port,
        path,
        method,
        timeout: timeoutMs,
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
    sent.on('timeout', () => sent.destroy(new Error('timed out')));
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

function acknowledged({ status, body, replayed }: Reply): AttemptResult {
  if (status === 204) return { outcome: 'acknowledged', values: [], replayed };
  const answer = JSON.parse(body) as { value: number } | { value: number }[];
  const values = (Array.isArray(answer) ? answer : [answer]).map(({ value }) => value);
  return { outcome: 'acknowledged', values, replayed };
}

/**
 * Interprets a problem: 503 and the legitimate refusals of the request mean that nothing was counted, `outcome_unknown`
 * that it may have been. Any other problem is unexpected.
 */
function failed({ status, body }: Reply, refusals: readonly string[]): AttemptResult {
  const { code = 'none', detail = '' } = JSON.parse(body) as { code?: string; detail?: string };
  if (status === 503 || refusals.includes(code)) return { outcome: 'refused', code };
  if (code === 'outcome_unknown') return { outcome: 'unknown', code };
  return { outcome: 'unknown', code, unexpected: `${status} ${code}: ${detail}` };
}
