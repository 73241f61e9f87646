import { Agent, request } from 'node:http';

/** A request exactly as it is sent: a header may occur twice. */
export interface Sent {
  method: string;
  target: string;
  headers: [name: string, value: string][];
  body?: string | undefined;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** How long an answer may take, in milliseconds. */
const ANSWER_MS_MAX = 60_000;

/** A single keep-alive connection to a service. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: URL;

  constructor(url: string) {
    this.#url = new URL(url);
  }

  /** Sends a request; of a stream of events, only the first one is read. */
  send({ method, target, headers, body }: Sent): Promise<Answer> {
    const { hostname, port, host } = this.#url;
    const all = [['host', host], ...headers];
    // Otherwise Node announces a body of unknown length when there is no body.
    const hasLength = body !== undefined || !['GET', 'HEAD'].includes(method);
    if (hasLength) all.push(['content-length', String(Buffer.byteLength(body ?? ''))]);
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const options = {
        hostname,
        port,
        method,
        path: target,
        headers: all.flat(),
        agent: this.#agent,
        signal,
      };
      const sending = request(options, (response) => {
        const { statusCode: status = 0, headers: received } = response;
        let text = '';
        const done = () => resolve({ status, headers: received, text });
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (!received['content-type']?.startsWith('text/event-stream') || !text.includes('\n\n')) return;
          done();
          response.destroy();
        });
        response.on('end', done);
        response.on('error', reject);
      });
      sending.on('error', reject);
      sending.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
