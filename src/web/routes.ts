import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Asset, type Encoding, readAssets } from './assets.ts';

/** Everything from this host, and no script or style that stands in the document or comes from a string. */
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
  'trusted-types default',
].join('; ');

/** The page at `/`, and its files below `/page/`. */
export async function webRoutes(app: FastifyInstance): Promise<void> {
  for (const [name, asset] of await readAssets()) {
    const html = name.endsWith('.html');
    app.get(html ? '/' : `/page/${name}`, {
      // A page is some twenty files, none of which is worth a line.
      logLevel: 'warn',
      schema: { hide: true },
      handler: async (request, reply) => {
        if (html) reply.header('content-security-policy', POLICY);
        return send(asset, request, reply);
      },
    });
  }
}

/** Answers with the file, or with 304 to who has it: asked for each time, so that a new version is seen at once. */
async function send(asset: Asset, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const encoding = encodingFor(request);
  const etag = `"${asset.etag}${encoding ? `-${encoding}` : ''}"`;
  reply.headers({ 'cache-control': 'no-cache', vary: 'accept-encoding', etag });
  if (request.headers['if-none-match']?.includes(etag)) return reply.status(304).send();
  if (encoding) reply.header('content-encoding', encoding);
  return reply.type(asset.type).send(encoding ? await asset.packed[encoding]() : asset.plain);
}

/** The best that was offered; what is refused by `q=0` counts as not offered. */
function encodingFor({ headers }: FastifyRequest): Encoding | undefined {
  const offered = new Set(
    (headers['accept-encoding'] ?? '')
      .split(',')
      .filter((one) => !/;\s*q=0(\.0*)?\s*$/.test(one))
      .map((one) => one.split(';')[0]?.trim().toLowerCase()),
  );
  return (['br', 'gzip'] as const).find((encoding) => offered.has(encoding));
}
