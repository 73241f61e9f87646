import { rm } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { allProcesses, killAll, processesOf } from './processes.ts';

/**
 * A program that reads a folder's path from its standard input and waits for the end of the input, which comes when the
 * process at the other end has ended, also by SIGKILL. Then it ends every process of the folder and removes the folder.
 */
const folder = (await text(process.stdin)).trim();
if (folder !== '') {
  await killAll(async () => processesOf(await allProcesses(), folder));
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}
