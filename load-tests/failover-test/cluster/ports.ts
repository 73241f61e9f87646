import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

/** The lowest port to try. */
const LOWEST = 12_000;

/** The start of the ephemeral port range where the system does not tell it. */
const OUTGOING = 32_768;

/** How many ports to try for each one that is needed. */
const TRIES_MAX = 200;

/**
 * Free ports below the ephemeral range, so that a killed server finds its port free when it is started again. They are
 * drawn without the seed of the run: the number of draws depends on which ports are taken, and the order of faults must
 * depend on the seed alone.
 *
 * @throws {Error} when too few ports are free
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
