import { type DestinationStream, destination } from 'pino';
import pretty from 'pino-pretty';

/** Where the log goes: JSON lines for machines; on a terminal, lines for people. */
export function logStream(): DestinationStream {
  if (!process.stdout.isTTY) return destination(1);
  return pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' });
}
