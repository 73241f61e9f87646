import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { measure, type Row } from './measure.ts';
import { type Options, readOptions, toldUsage, USAGE } from './options.ts';
import { type OwnService, startOwnService } from '../shared/own-service.ts';
import { progress } from '../shared/progress.ts';
import { pictures, report } from './report.ts';
import { endpointSubjects, strategySubjects, type Subject } from './subjects.ts';
import { table } from '../shared/table.ts';

/** Before anything is measured, so that the first one is not the one that pays for the compiler. */
const WARM_UP = { connections: 4, calls: 50 };

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)));
} catch (error) {
  if (!toldUsage(error, USAGE)) throw error;
}

async function main(options: Options): Promise<number> {
  // A connection for each caller, so that they contend for the row and not for connections.
  const poolMax = Math.max(10, ...options.contention.map((callers) => callers + 2));
  const own: OwnService | undefined = options.url
    ? undefined
    : await startOwnService({ POOL_MAX: String(poolMax) });
  const url = options.url ?? own?.url ?? '';
  // A service of its own gets the signal from the terminal, too, and is waited for.
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  try {
    const run = (subjects: Subject[], calls: number) => measureAll(url, subjects, calls, interrupted.signal);
    await run(strategySubjects(WARM_UP.connections), WARM_UP.calls);
    const endpoints = await run(endpointSubjects(options.load), options.amount);
    console.log(`${endpointTable(endpoints)}\n`);
    const strategies = await run(options.contention.flatMap(strategySubjects), options.requests);
    console.log(`${strategyTable(strategies)}\n`);
    await write(options, poolMax, endpoints, strategies);
    return verdict([...endpoints, ...strategies]);
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    throw error;
  } finally {
    progress();
    await own?.stop();
  }
}

async function measureAll(
  url: string,
  subjects: Subject[],
  calls: number,
  signal: AbortSignal,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const subject of subjects) {
    signal.throwIfAborted();
    const title = `${subject.name}, ${subject.connections} at once`;
    rows.push(await measure(url, subject, calls, (done) => progress(title, done, calls)));
  }
  progress();
  return rows;
}

function endpointTable(rows: Row[]): string {
  const headings = [
    'endpoint',
    'calls',
    'at once',
    'acknowledged',
    'likes',
    'lost',
    'conflicts',
    'increments/s',
    'p50 ms',
    'p99 ms',
    'verdict',
  ];
  return table(
    headings,
    rows.map((row) => [
      row.name,
      row.calls,
      row.connections,
      row.acknowledged,
      row.likes,
      row.lost,
      row.conflicts,
      row.incrementsPerSecond,
      row.latencyMs.p50,
      row.latencyMs.p99,
      row.verdict,
    ]),
  );
}

/** A line for each strategy: increments a second as the callers grow, and what came of the most crowded run. */
function strategyTable(rows: Row[]): string {
  const callers = [...new Set(rows.map((row) => row.connections))];
  const last = callers.at(-1);
  return table(
    [
      'strategy',
      ...callers.map((count) => `${count} /s`),
      'acknowledged',
      'likes',
      'lost',
      'p99 ms',
      'verdict',
    ],
    rows
      .filter((row) => row.connections === last)
      .map((row) => [
        row.name,
        ...callers.map(
          (count) =>
            rows.find((one) => one.name === row.name && one.connections === count)?.incrementsPerSecond ?? 0,
        ),
        row.acknowledged,
        row.likes,
        row.lost,
        row.latencyMs.p99,
        row.verdict,
      ]),
  );
}

async function write(options: Options, poolMax: number, endpoints: Row[], strategies: Row[]): Promise<void> {
  const { out, url, load, amount, requests } = options;
  const machine = {
    at: new Date().toISOString(),
    processors: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    service: url ? 'one that was running' : `one of its own, embedded PostgreSQL, POOL_MAX=${poolMax}`,
  };
  const results = { machine, load: { ...load, amount, requests }, endpoints, strategies };
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  const drawn = pictures(strategies);
  for (const { file, svg } of drawn) await writeFile(join(out, file), svg);
  await writeFile(join(out, 'report.html'), report(results, drawn));
  console.log(`Report: ${join(out, 'report.html')}`);
}

function verdict(rows: Row[]): number {
  const broken = rows.filter(({ holds }) => !holds);
  for (const { name, claim, connections, verdict: why } of broken) {
    console.log(`BROKEN: ${name} (${connections} at once) claims "${claim}", but: ${why}`);
  }
  return broken.length === 0 ? 0 : 1;
}
