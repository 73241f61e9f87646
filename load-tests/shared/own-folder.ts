import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Creates a folder that other users may enter, because PostgreSQL refuses to run as root and runs as another user. */
export async function ownFolder(name: string, parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, `safe-counters-${name}-`));
  await chmod(folder, 0o755);
  return folder;
}
