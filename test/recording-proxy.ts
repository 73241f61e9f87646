import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';

/** A statement as it was sent: the name under which it is prepared, empty if it is not, and its text. */
export interface SentStatement {
  name: string;
  text: string;
}

export interface RecordingProxy {
  port: number;
  /** The parameters of each connection that was asked for. */
  startups: Record<string, string>[];
  statements: SentStatement[];
}

/** Source: PostgreSQL documentation, 53.7 "Message Formats". */
const PROTOCOL_3 = 196_608;
const BIND = 'B';
const PARSE = 'P';
const QUERY = 'Q';

/**
 * A proxy in front of a server or a pooler that keeps what is sent through it.
 *
 * @param refuses the parameter of a connection that is refused as RDS Proxy does (0A000); undefined: none
 */
export async function recordingProxy(t: Test, serverPort: number, refuses?: string): Promise<RecordingProxy> {
  const sockets = new Set<Socket>();
  const recorded: Omit<RecordingProxy, 'port'> = { startups: [], statements: [] };
  const server = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    let rest: Buffer = Buffer.alloc(0);
    let started = false;
    client.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      for (let message = nextMessage(rest, started); message; message = nextMessage(rest, started)) {
        rest = rest.subarray(message.length);
        if (started) record(message, recorded.statements);
        else {
          const parameters = parametersOf(message);
          recorded.startups.push(parameters);
          started = true;
          if (refuses !== undefined && refuses in parameters) {
            upstream.unpipe(client);
            client.end(refusal(`feature not supported: the parameter ${refuses}`));
            return;
          }
        }
        upstream.write(message);
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, ...recorded };
}

/** The first complete message of the bytes; undefined: there is none yet. Only the first of a connection has no type. */
function nextMessage(bytes: Buffer, started: boolean): Buffer | undefined {
  const lengthAt = started ? 1 : 0;
  if (bytes.length < lengthAt + 4) return undefined;
  const length = lengthAt + bytes.readInt32BE(lengthAt);
  return bytes.length < length ? undefined : bytes.subarray(0, length);
}

function parametersOf(startup: Buffer): Record<string, string> {
  if (startup.readInt32BE(4) !== PROTOCOL_3)
    throw new Error('only connections without encryption are recorded');
  const texts = startup.subarray(8).toString('utf8').split('\0');
  const parameters: Record<string, string> = {};
  for (let i = 0; texts[i]; i += 2) parameters[texts[i] as string] = texts[i + 1] ?? '';
  return parameters;
}

function record(message: Buffer, statements: SentStatement[]): void {
  const type = String.fromCharCode(message[0] as number);
  const [first = '', second = ''] = message.subarray(5).toString('utf8').split('\0');
  if (type === QUERY) statements.push({ name: '', text: first });
  if (type === PARSE) statements.push({ name: first, text: second });
  // The portal comes first. The text is that of the statement with this name.
  if (type === BIND && second !== '') statements.push({ name: second, text: '' });
}

/** An ErrorResponse. */
function refusal(message: string): Buffer {
  const body = Buffer.from(`SFATAL\0VFATAL\0C0A000\0M${message}\0\0`, 'utf8');
  const head = Buffer.from('E0000', 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
