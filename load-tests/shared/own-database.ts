import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startEmbedded } from '../../src/embedded-postgres/embedded.ts';
import { ownFolder } from './own-folder.ts';

/** The log of a database that a measurement starts for itself: warnings only. */
export const quiet = { info: () => {}, warn: (message: string) => console.error(message) };

/** Runs `work` with a fresh, empty database whose commits are durable, and removes it afterwards. */
export async function withOwnDatabase<T>(
  connectionsMax: number,
  work: (databaseUrl: string) => Promise<T>,
): Promise<T> {
  const folder = await ownFolder('benchmark');
  try {
    const server = await startEmbedded(join(folder, 'data'), connectionsMax, quiet);
    try {
      return await work(server.databaseUrl);
    } finally {
      await server.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
