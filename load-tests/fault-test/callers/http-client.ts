import { Agent, request } from 'node:http';
import { codeOf, messageOf } from '../../../src/errors/caught.ts';

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
   * @param key the idempotency key, if it has one
   * @param patienceMs how long to wait for the answer, in milliseconds
   */
  async increment(
    port: number,
    body: { name: string; by: number }[],
    key: string | undefined,
    patienceMs: number,
  ): Promise<TryResult> {
    const [first] = body;
    const one = body.length === 1 && first;
    const path = one ? `/counters/${one.name}/increments` : '/increments';
    const text = JSON.stringify(one ? { by: one.by } : body);
    try {
      const reply = await this.#post(port, path, text, key, patienceMs);
      return reply.status === 200 ? acknowledged(reply) : failed(reply);
    } catch (error) {
      const code = codeOf(error) ?? messageOf(error);
      // Nobody was there to send it to. After anything else it may have been read.
      return { outcome: code === 'ECONNREFUSED' ? 'refused' : 'unknown', code };
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(
    port: number,
    path: string,
    text: string,
    key: string | undefined,
    patienceMs: number,
  ): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const sent = request(
      {
        agent: this.#agent,
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        timeout: patienceMs,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('error', reject);
        response.on('end', () => {
          const replayed = response.headers['idempotency-replayed'] === 'true';
          resolve({ status: response.statusCode ?? 0, body, replayed });
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', reject);
    sent.end(text);
    return promise;
  }
}

interface Reply {
  status: number;
  body: string;
  replayed: boolean;
}

function acknowledged({ body, replayed }: Reply): TryResult {
  const answer = JSON.parse(body) as { value: number } | { value: number }[];
  const values = (Array.isArray(answer) ? answer : [answer]).map(({ value }) => value);
  return { outcome: 'acknowledged', values, replayed };
}

/** What the service says of itself: 503 and 4xx mean that nothing was counted. What else it says needs explaining. */
function failed({ status, body }: Reply): TryResult {
  const { code = 'none', detail = '' } = JSON.parse(body) as { code?: string; detail?: string };
  if (status === 503) return { outcome: 'refused', code };
  if (code === 'outcome_unknown') return { outcome: 'unknown', code };
  return { outcome: 'unknown', code, unexpected: `${status} ${code}: ${detail}` };
}
