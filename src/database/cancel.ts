import { connect } from 'node:net';
import type { PoolClient } from 'pg';

/** The code of a CancelRequest. Source: PostgreSQL documentation, "Message Formats". */
const CANCEL = 80_877_102;

/** How long the connection for the request may take, in milliseconds. */
const CANCEL_MS_MAX = 2000;

/**
 * Asks the server to cancel the statement that a connection is waiting for. If it does, the statement fails with 57014, and
 * nothing of it is applied. Without this, a statement that waits for the lock of a table, for which `set_config` inside the
 * statement comes too late, stays in its backend after the client has given it up, and is applied when the lock is free.
 */
export function requestCancel(client: PoolClient): void {
  const { host, port, processID, secretKey } = client as unknown as {
    host: string;
    port: number;
    processID: number;
    secretKey: number;
  };
  const message = Buffer.alloc(16);
  for (const [i, value] of [message.length, CANCEL, processID, secretKey].entries())
    message.writeInt32BE(value, 4 * i);
  const socket = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port });
  socket.setTimeout(CANCEL_MS_MAX, () => socket.destroy());
  // Without the request, the statement ends by its time limit.
  socket.on('error', () => {});
  socket.end(message);
}
