import { createServer } from 'node:http';
import type { FastifyServerFactory } from 'fastify';
import { Turns } from './turns.ts';

/** How long a client may take, in milliseconds. */
export interface ConnectionBounds {
  /** For the headers of a request; the first ones count from the beginning of the connection. */
  headersMsMax: number;
  /** For a whole request. */
  requestMsMax: number;
  /** Without taking a byte of an answer. */
  stalledMsMax: number;
  /** From an answer to the next request. */
  idleMsMax: number;
  /** How often the first two are checked: they may be exceeded by this. */
  checkMs: number;
}

export const connectionBounds: ConnectionBounds = {
  headersMsMax: 10_000,
  requestMsMax: 30_000,
  stalledMsMax: 30_000,
  idleMsMax: 72_000,
  checkMs: 2000,
};

/** Makes Fastify's server: what a connection may take of us, in requests and in time, has a bound. */
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
        // Both are refused later, in the form of all other errors.
        requireHostHeader: false,
      },
      turns.listener,
    );
    server.on('checkExpectation', turns.listener);
    server.setTimeout(bounds.stalledMsMax, (socket) => {
      // No byte went either way. That is fine while an answer is being made, and is not if one waits to be taken.
      if (socket.writableLength > 0 || !turns.isBusy(socket)) socket.destroy();
    });
    return server;
  };
