import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors/problem.ts';

/** `host:port` of RFC 9110, 7.2, as far as it matters here: the name, in brackets if it is an IPv6 address. */
const HOST = /^(\[[\da-f:.]+\]|[^\s:/?#@[\]]+?)\.?(?::\d*)?$/i;

const LOOPBACK = /^(?:(?:[^.]+\.)*localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;

/**
 * Answers only requests that were sent to a name of ours. A page can let its own name point to 127.0.0.1 (DNS
 * rebinding); to the browser our answers are of its origin then, and only the header Host tells. What a proxy says
 * of the host does not count here, since such a page could say it as well.
 *
 * The status is 421 (RFC 9110, 15.5.20: unable or unwilling to answer for the host that was asked for), not 403: the
 * same request is fine under another name.
 *
 * @param listening the address that the service listens on: on a loopback address only loopback names are answered
 * @param allowed names that are answered as well, comma-separated; if there are any, no others are
 */
export function checkHost(app: FastifyInstance, listening: string, allowed = ''): void {
  const names = new Set(
    allowed
      .toLowerCase()
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean),
  );
  const limited = names.size > 0 || isLoopback(listening);
  /** Hosts that were found to be allowed, each with its port as it was sent. */
  const known = new Set<string>();
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    const { host } = raw.headers;
    if (isTwice(raw.rawHeaders))
      return done(new Problem('invalid_request', 'there is more than one header Host'));
    if (host !== undefined && known.has(host)) return done();
    done(refusal(host, raw.httpVersion));
  });

  function refusal(host: string | undefined, version: string): Problem | undefined {
    // HTTP/1.0 may leave it out, which browsers do not speak, and health checks do.
    if (host === undefined) {
      return version === '1.0' ? undefined : new Problem('invalid_request', 'the header Host is missing');
    }
    const name = HOST.exec(host)?.[1]?.toLowerCase();
    if (name === undefined) return new Problem('invalid_request', 'the header Host is not a host');
    if (limited && !LOOPBACK.test(name) && !names.has(name)) {
      return new Problem('forbidden_host', `this service does not answer for ${name}; see ALLOWED_HOSTS`);
    }
    if (known.size < KNOWN_MAX) known.add(host);
    return undefined;
  }
}

/** Node keeps the first one, whatever a proxy in between has looked at (RFC 9112, 3.2: refuse it). */
function isTwice(headers: readonly string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

/** Each client may send another port or subdomain. */
const KNOWN_MAX = 100;

const isLoopback = (address: string): boolean => LOOPBACK.test(address) || address === '::1';
