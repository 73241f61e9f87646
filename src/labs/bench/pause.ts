import { setTimeout } from 'node:timers/promises';

/** Between two polls, in milliseconds: pg_blocking_pids takes locks that every other session needs, too. */
const PAUSE_MS = 2;

/** A pause between two polls of the server. */
export const pause = (): Promise<void> => setTimeout(PAUSE_MS);
