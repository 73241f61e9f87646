import { join } from 'node:path';
import fastifyCompress from '@fastify/compress';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** Everything from this host, and no script, style or markup that stands in the document or comes from a string. */
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

/** The page at `/`, and its files below `/page/`. Revalidated each time, so that a new version is seen at once. */
export async function webRoutes(app: FastifyInstance): Promise<void> {
  // While they are sent, and not in a build: the largest file is 10 kB.
  await app.register(fastifyCompress);
  await app.register(fastifyStatic, {
    root: join(import.meta.dirname, 'public'),
    prefix: '/page/',
    // A route for each file that is there: no other path reaches the disk.
    wildcard: false,
    index: false,
    globIgnore: ['index.html'],
    // The page is some thirty requests, which would fill the log.
    logLevel: 'warn',
  });
  app.get('/', { logLevel: 'warn', schema: { hide: true } }, (_request, reply) =>
    reply.header('content-security-policy', POLICY).sendFile('index.html'),
  );
}
