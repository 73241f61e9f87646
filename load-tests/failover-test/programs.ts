import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StartupError } from '../../src/errors/startup-error.ts';

/** The paths of the cluster's programs. */
export interface Programs {
  etcd: string;
  patroni: string;
  patronictl: string;
  haproxy: string;
  pgbouncer: string;
  /** The folder of a complete PostgreSQL, with the pg_basebackup and pg_rewind that standbys need. */
  postgres: string;
}

/** The programs and the Debian packages that contain them. */
const packages: Record<keyof Programs, string> = {
  etcd: 'etcd-server',
  patroni: 'patroni',
  patronictl: 'patroni',
  haproxy: 'haproxy',
  pgbouncer: 'pgbouncer',
  postgres: 'postgresql-15',
};

/** The time limit of `--version`, in milliseconds. */
const ANSWER_MS_MAX = 30_000;

/** The folder in which Debian installs the versions of PostgreSQL. */
const VERSIONS = '/usr/lib/postgresql';

/**
 * @param path the folders to search, as in PATH; /usr/sbin and its like, which an ordinary user's PATH may lack, are added
 * @param postgresBin the folder of PostgreSQL's binaries, instead of the highest installed version
 * @throws {StartupError} one line: what is missing, and the command that installs it
 */
export async function findPrograms(
  path = `${process.env.PATH}:/usr/sbin:/sbin`,
  postgresBin = process.env.POSTGRES_BIN,
): Promise<Programs> {
  const names = Object.keys(packages) as (keyof Programs)[];
  const entries = await Promise.all(
    names.map(async (name) => {
      const found = name === 'postgres' ? await completePostgres(postgresBin) : programIn(path, name);
      return [name, found] as const;
    }),
  );
  const missing = entries.filter(([, found]) => found === undefined).map(([name]) => name);
  if (missing.length > 0) throw new StartupError(missingText(missing));
  return Object.fromEntries(entries) as unknown as Programs;
}

type Versions = Record<'etcd' | 'Patroni' | 'HAProxy' | 'PgBouncer' | 'PostgreSQL', string>;

/** The version that each program reports. */
export async function versionsOf(programs: Programs): Promise<Versions> {
  return {
    etcd: await versionOf(programs.etcd, '--version'),
    Patroni: await versionOf(programs.patroni, '--version'),
    HAProxy: await versionOf(programs.haproxy, '-v'),
    PgBouncer: await versionOf(programs.pgbouncer, '--version'),
    PostgreSQL: await versionOf(join(programs.postgres, 'postgres'), '--version'),
  };
}

/**
 * With etcd's v3 protocol, Patroni before 3.0.3 loses acknowledged writes; with v2, no version does.
 *
 * @throws {StartupError} when this etcd has no v2 protocol
 */
export function requireV2(etcdVersion: string): void {
  const [major = 0, minor = 0] = etcdVersion.split('.').map(Number);
  if (major > 3 || (major === 3 && minor >= 6))
    throw new StartupError(
      `etcd ${etcdVersion} has no v2 protocol, which is needed; allowed: etcd 3.4 and 3.5`,
    );
}

async function versionOf(program: string, option: string): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [option], { timeout: ANSWER_MS_MAX });
  return /\d+\.\d[\w.+-]*/.exec(stdout)?.[0] ?? 'unknown';
}

function missingText(missing: readonly (keyof Programs)[]): string {
  const wanted = [...new Set(missing.map((name) => packages[name]))];
  const names = missing.map((name) => (name === 'postgres' ? 'a PostgreSQL with pg_basebackup' : name));
  return `missing: ${names.join(', ')}; on Debian: apt-get install --no-install-recommends ${wanted.join(' ')}`;
}

const programIn = (path: string, name: string): string | undefined =>
  path
    .split(':')
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));

async function completePostgres(given: string | undefined): Promise<string | undefined> {
  const versions = (await readdir(VERSIONS).catch(() => [])).toSorted((a, b) => Number(b) - Number(a));
  const bins = given ? [given] : versions.map((version) => join(VERSIONS, version, 'bin'));
  return bins.find((bin) =>
    ['postgres', 'initdb', 'pg_basebackup', 'pg_rewind'].every((name) => existsSync(join(bin, name))),
  );
}
