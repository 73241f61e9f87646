import { createServer } from 'node:http';
import type { FastifyServerFactory } from 'fastify';
import { Turns } from './turns.ts';

/** Limits on the time that a client may take, in milliseconds. */
export interface ConnectionBounds {
  /** For the headers of a request; those of the first request count from the beginning of the connection. */
  headersMsMax: number;
  /** For a whole request. */
  requestMsMax: number;
  /** Without reading a byte of an answer. */
  stalledMsMax: number;
  /** Between an answer and the next request. */
  idleMsMax: number;
  /** The interval at which the first two limits are checked; they can be exceeded by this much. */
  checkMs: number;
}

export const connectionBounds: ConnectionBounds = {
  headersMsMax: 10_000,
  requestMsMax: 30_000,
  stalledMsMax: 30_000,
  idleMsMax: 72_000,
  checkMs: 2000,
};

/** Creates Fastify's HTTP server with limits on the requests and the time of each connection. */
export const boundedServer =
  (bounds: ConnectionBounds): FastifyServerFactory =>
  (handler) => {
    const turns = new Turns(handler);
    const server = createServer(
      {
        headersTimeout: bounds.headersMsMax,
        requestTimeout: bounds.requestMsMax,
        keepAliveTimeout: bounds.idleMsMax,
        connectionsCheckingInterval: bounds.checkMs,
        // A missing Host header is refused later, as a problem like all other errors.
        requireHostHeader: false,
      },
      turns.listener,
    );
    server.on('checkExpectation', turns.listener);
    server.setTimeout(bounds.stalledMsMax, (socket) => {
      // No byte was sent or received. That is normal while an answer is computed, but not if the client does not read it.
      if (socket.writableLength > 0 || !turns.isBusy(socket)) socket.destroy();
    });
    return server;
  };
