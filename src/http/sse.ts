import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';

/** One server-sent event (WHATWG HTML, 9.2). */
export const sseEvent = (name: string, data: object): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

/** Answers with a stream of events that caches do not store and proxies do not buffer. */
export function sendEvents<Reply extends FastifyReply>(reply: Reply, events: Readable): Reply {
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    // Without it, nginx would hold events back until a buffer is full.
    'x-accel-buffering': 'no',
  };
  void reply.headers(headers).send(events);
  return reply;
}

/** The answer of such a route, for its schema: the handler sends a stream, the client receives text. */
export const eventStream = (description: string, example: string) => ({
  description,
  content: { 'text/event-stream': { schema: Type.Unsafe<Readable>({ type: 'string', example }) } },
});
