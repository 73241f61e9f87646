import { join } from 'node:path';
import fastifyCompress from '@fastify/compress';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** Everything comes from this host; no inline scripts or styles, and no markup or code from strings. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** Serves the page at `/` and its files below `/page/`. Browsers revalidate them, so that a new version shows at once. */
export async function webRoutes(app: FastifyInstance): Promise<void> {
  // Compressed for each request rather than in a build step: the largest file is 10 kB.
  await app.register(fastifyCompress);
  await app.register(fastifyStatic, {
    root: join(import.meta.dirname, 'public'),
    prefix: '/page/',
    // One route per existing file: no other path reaches the disk.
    wildcard: false,
    index: false,
    globIgnore: ['index.html'],
    // The page makes some thirty requests, which would fill the log.
    logLevel: 'warn',
  });
  app.get('/', { logLevel: 'warn', schema: { hide: true } }, (_request, reply) =>
    reply.header('content-security-policy', POLICY).sendFile('index.html'),
  );
}
