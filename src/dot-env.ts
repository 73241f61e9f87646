import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { codeOf } from './errors/caught.ts';
import { StartupError } from './errors/startup-error.ts';

/**
 * Adds what a file `.env` in the working directory says to the environment, which goes before it. Unlike Node's own
 * `loadEnvFile`, it knows the mark that some editors begin a file with, and does not lose the first line to it.
 *
 * @throws {StartupError} when the file is not text in UTF-8
 */
export function loadDotEnv(): void {
  const bytes = read('.env');
  if (!bytes) return;
  if (!isUtf8(bytes) || bytes.includes(0))
    throw new StartupError('.env is not text in UTF-8: save it as such');
  const given = parseEnv(bytes.toString().replace(/^\uFEFF/, ''));
  for (const [name, value] of Object.entries(given)) process.env[name] ??= value;
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new StartupError(`${path} cannot be read: ${String(error)}`, { cause: error });
  }
}
