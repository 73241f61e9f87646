import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder that other users may enter: PostgreSQL and its like, which do not run as root, have to get there. */
export async function ownFolder(name: string, parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, `safe-counters-${name}-`));
  await chmod(folder, 0o755);
  return folder;
}
