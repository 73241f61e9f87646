import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors/problem.ts';

/** `host:port` (RFC 9110, 7.2). The group is the name; an IPv6 address is in brackets. */
const HOST = /^(\[[\da-f:.]+\]|[^\s:/?#@[\]]+?)\.?(?::\d*)?$/i;

const LOOPBACK = /^(?:(?:[^.]+\.)*localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;

/**
 * Answers only requests whose Host header has an allowed name. The owner of a web page can point its own name to
 * 127.0.0.1 (DNS rebinding). The browser then treats our answers as answers of that page's origin, and only the Host
 * header shows the difference. X-Forwarded-Host is ignored here, because such a page could send it as well.
 *
 * The status is 421 (RFC 9110, 15.5.20: unable or unwilling to answer for the requested host), not 403, because
 * the same request is valid under another name.
 *
 * @param listening the address that the service listens on: on a loopback address, only loopback names are allowed
 * @param allowed names to allow in addition to loopback names, comma-separated; if there are any, all others are refused
 */
export function checkHost(app: FastifyInstance, listening: string, allowed = ''): void {
  const names = new Set(
    allowed
      .toLowerCase()
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean),
  );
  const isLimited = names.size > 0 || isLoopback(listening);
  /** Host headers that were found to be allowed, as they were sent. */
  const known = new Set<string>();
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    const { host } = raw.headers;
    if (hasTwoHosts(raw.rawHeaders))
      return done(new Problem('invalid_request', 'the request has more than one Host header'));
    if (host !== undefined && known.has(host)) return done();
    done(refusal(host, raw.httpVersion));
  });

  function refusal(host: string | undefined, version: string): Problem | undefined {
    // Optional in HTTP/1.0, which health checks use and browsers do not.
    if (host === undefined) {
      return version === '1.0' ? undefined : new Problem('invalid_request', 'the Host header is missing');
    }
    const name = HOST.exec(host)?.[1]?.toLowerCase();
    if (name === undefined) return new Problem('invalid_request', 'the Host header is not a valid host');
    if (isLimited && !LOOPBACK.test(name) && !names.has(name)) {
      return new Problem(
        'forbidden_host',
        `the host ${name} is not allowed; the operator can add it to ALLOWED_HOSTS`,
      );
    }
    if (known.size < KNOWN_MAX) known.add(host);
    return undefined;
  }
}

/** RFC 9112, 3.2 requires a refusal: Node uses the first Host header, but a proxy in between may have used another one. */
function hasTwoHosts(headers: readonly string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

/** A bound, since each client may send another port or subdomain. */
const KNOWN_MAX = 100;

const isLoopback = (address: string): boolean => LOOPBACK.test(address) || address === '::1';
