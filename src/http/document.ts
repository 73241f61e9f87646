import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * Serves the OpenAPI document, at /docs/json and /docs/yaml. It is serialized only once, because serializing it for each
 * request would cost more than any other answer. Call it before Swagger UI is registered.
 */
export function serveDocumentOnce(app: FastifyInstance): void {
  const json = answerOnce('application/json; charset=utf-8', () => JSON.stringify(app.swagger()));
  const yaml = answerOnce('application/yaml', () => app.swagger({ yaml: true }));
  app.addHook('onRoute', (route) => {
    if (route.url === '/docs/json') route.handler = json;
    if (route.url === '/docs/yaml') route.handler = yaml;
  });
}

function answerOnce(type: string, make: () => string) {
  let made: { bytes: Buffer; etag: string } | undefined;
  return (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    made ??= withEtag(make());
    const { bytes, etag } = made;
    reply.headers({ etag, 'cache-control': 'no-cache' });
    if (request.headers['if-none-match']?.includes(etag)) return reply.status(304).send();
    return reply.type(type).send(bytes);
  };
}

function withEtag(text: string) {
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
  return { bytes: Buffer.from(text), etag };
}
