import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { codeOf, messageOf } from './errors/caught.ts';
import { StartupError } from './errors/startup-error.ts';

/**
 * Adds the variables of a file `.env` in the working directory to the environment, unless they are already set. Unlike
 * Node's `loadEnvFile`, it supports a byte order mark, with which some editors begin a file.
 *
 * @throws {StartupError} when the file is not text in UTF-8
 */
export function loadDotEnv(): void {
  const bytes = read('.env');
  if (!bytes) return;
  if (!isUtf8(bytes) || bytes.includes(0))
    throw new StartupError('.env is not text in UTF-8: save it with that encoding');
  const given = parseEnv(bytes.toString().replace(/^\uFEFF/, ''));
  for (const [name, value] of Object.entries(given)) process.env[name] ??= value;
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new StartupError(`${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
