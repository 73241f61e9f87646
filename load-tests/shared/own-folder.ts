import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Creates a folder that other users may enter: PostgreSQL, for example, refuses to run as root. */
export async function ownFolder(name: string, parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, `safe-counters-${name}-`));
  await chmod(folder, 0o755);
  return folder;
}
