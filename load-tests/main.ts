import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Load, measure, type Row } from './measure.ts';
import { type OwnService, startOwnService } from './own-service.ts';
import { subjects } from './subjects.ts';
import { table } from './table.ts';
import { judge } from './verdict.ts';

const USAGE = `Usage: npm run load-test -- [options]
  --amount N        calls of each endpoint, 1 to 10000 (default 40)
  --connections N   calls at the same time, 1 to 256 (default 4)
  --workers N       workers of each call, 1 to 64 (default 2)
  --increments N    increments of each worker, 1 to 1000 (default 25)
  --url URL         a service that is running; default: one of its own, with a fresh database
  --json FILE       where to write the figures (default load-tests/results/latest.json)`;

const HEADINGS = ['endpoint', 'calls', 'at once', 'acknowledged', 'likes', 'lost', 'conflicts', 'retries'];

class UsageError extends Error {}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { load, url, json } = readArguments();
  const own: OwnService | undefined = url ? undefined : await startOwnService();
  // The first signal ends the run: the service of its own gets it from the terminal, too, and is waited for.
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const rows: Row[] = [];
  try {
    for (const subject of subjects) {
      if (interrupted.signal.aborted) return 130;
      rows.push(
        await measure(url ?? own?.url ?? '', subject, load, (done) => progress(subject.name, done, load)),
      );
    }
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    throw error;
  } finally {
    progress();
    await own?.stop();
  }
  const judged = rows.map((row) => ({ ...row, ...judge(row.claim, row) }));
  console.log(report(judged));
  await mkdir(dirname(json), { recursive: true });
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
  await writeFile(
    json,
    `${JSON.stringify({ at: new Date().toISOString(), machine, load, rows: judged }, null, 2)}\n`,
  );
  console.log(`\nFigures: ${json}`);
  const broken = judged.filter(({ holds }) => !holds);
  for (const { name, claim, verdict } of broken)
    console.log(`BROKEN: ${name} claims "${claim}", but: ${verdict}`);
  return broken.length === 0 ? 0 : 1;
}

function readArguments() {
  const options = { type: 'string' } as const;
  let values: Partial<Record<'amount' | 'connections' | 'workers' | 'increments' | 'url' | 'json', string>>;
  try {
    ({ values } = parseArgs({
      options: {
        amount: options,
        connections: options,
        workers: options,
        increments: options,
        url: options,
        json: options,
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
  const number = (name: keyof Load, fallback: number, max: number): number => {
    const value = values[name] === undefined ? fallback : Number(values[name]);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new UsageError(`--${name} is "${values[name]}"; allowed: 1 to ${max}`);
  };
  const load = {
    amount: number('amount', 40, 10_000),
    connections: number('connections', 4, 256),
    workers: number('workers', 2, 64),
    increments: number('increments', 25, 1000),
  };
  const { url } = values;
  if (url !== undefined && !/^https?:/.test(URL.parse(url)?.protocol ?? '')) {
    throw new UsageError(
      `--url is "${url}"; allowed: the address of a service, such as http://127.0.0.1:3000`,
    );
  }
  return { load, url, json: resolve(values.json ?? 'load-tests/results/latest.json') };
}

function report(rows: (Row & { verdict: string })[]): string {
  return table(
    [...HEADINGS, 'increments/s', 'p50 ms', 'p99 ms', 'verdict'],
    rows.map((row) => [
      row.name,
      row.calls,
      row.connections,
      row.acknowledged,
      row.likes,
      row.lost,
      row.conflicts,
      row.retries,
      row.incrementsPerSecond,
      row.latencyMs.p50,
      row.latencyMs.p99,
      row.verdict,
    ]),
  );
}

/** One line on a terminal that is written over; nothing anywhere else. */
function progress(name = '', done = 0, load?: Load): void {
  if (!process.stderr.isTTY) return;
  const bar = load
    ? `${'█'.repeat(Math.round((20 * done) / load.amount)).padEnd(20, '░')} ${done}/${load.amount} `
    : '';
  process.stderr.write(`\r\x1b[K${bar}${name}`);
}
