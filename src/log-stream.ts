import { type DestinationStream, destination } from 'pino';
import { codeOf } from './errors/caught.ts';

/** The stream of the log: JSON lines; on a terminal, readable lines if pino-pretty is installed. */
export async function logStream(): Promise<DestinationStream> {
  if (!process.stdout.isTTY) return destination(1);
  try {
    const { default: pretty } = await import('pino-pretty');
    return pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' });
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.error('the log is in JSON lines, because the optional package pino-pretty is not installed');
    return destination(1);
  }
}
