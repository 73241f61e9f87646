import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

/** The lowest port that is tried. */
const LOWEST = 12_000;

/** Where the system takes ports from for outgoing connections, if it does not say. */
const OUTGOING = 32_768;

/** Ports to try for each one that is needed, before giving up. */
const TRIES_MAX = 200;

/**
 * Ports that are free, and below those that the system gives to outgoing connections: a server that was killed finds
 * its port free again when it is started. They do not come from the seed of a run: how many are drawn depends on which
 * are taken, and the order of faults must not.
 *
 * @throws {Error} when there are too few of them
 */
export async function steadyPorts(count: number): Promise<number[]> {
  const limit = await outgoingFrom();
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries > count * TRIES_MAX)
      throw new Error(`there are no ${count} free ports from ${LOWEST} to ${limit}`);
    const port = LOWEST + Math.floor(Math.random() * (limit - LOWEST));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

async function outgoingFrom(): Promise<number> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '');
  const lowest = Number.parseInt(text, 10);
  return lowest > LOWEST + 1000 ? lowest : OUTGOING;
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  return promise;
}
