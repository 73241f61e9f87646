import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/command-line/command.ts';
import { type Given, path, whole, wholes } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { startOwnService } from '../shared/own-service.ts';
import { type Measurement, measure } from './measurement.ts';
import { pictures, report } from './report.ts';
import { endpointSubjects, strategySubjects, type Subject } from './subjects.ts';
import { endpointTable, strategyTable } from './tables.ts';

/** Warm-up calls, so that the first measured subject does not pay for compilation. */
const WARM_UP = { connections: 4, calls: 50 };

const options = {
  amount: whole('the number of calls to each endpoint', 1, 10_000, 40),
  connections: whole('the number of concurrent calls to an endpoint', 1, 256, 4),
  workers: whole('the number of workers of each call', 1, 64, 2),
  increments: whole('the number of increments of each worker', 1, 1000, 25),
  requests: whole('the number of calls to each strategy', 2, 100_000, 400),
  contention: wholes(
    'the numbers of concurrent callers to measure each strategy with',
    1,
    256,
    '1,2,4,8,16,32',
  ),
  url: {
    value: 'URL',
    about: 'a running service; by default the test starts one, with a fresh database',
    allowed: 'the address of a service, such as http://127.0.0.1:3000',
    read: (text: string) => (/^https?:/.test(URL.parse(text)?.protocol ?? '') ? text : undefined),
  },
  out: path('FOLDER', 'where to write report.html, the charts and results.json', 'load-tests/results'),
};

type Asked = Given<typeof options>;

await runCommand({
  name: 'load-test',
  about: `Calls every endpoint and every strategy over HTTP, and compares the final like counts with their claims.`,
  example: '--requests 100 --contention 1,8',
  options,
  variables: {
    DATABASE_URL: 'the database for the service that the test starts; by default a fresh embedded PostgreSQL',
  },
  exitCodes: { 1: 'a claim does not hold', 3: 'inconclusive: the service was too slow' },
  async run(asked, signal) {
    // One connection per caller, so that callers contend for the row and not for connections.
    const poolMax = Math.max(10, ...asked.contention.map((callers) => callers + 2));
    const own = asked.url ? undefined : await startOwnService({ POOL_MAX: String(poolMax) });
    const url = asked.url ?? own?.url ?? '';
    try {
      await measureAll(url, strategySubjects(WARM_UP.connections), WARM_UP.calls, signal);
      const endpoints = await measureAll(url, endpointSubjects(asked), asked.amount, signal);
      print(`${endpointTable(endpoints)}\n`);
      const contendedSubjects = asked.contention.flatMap(strategySubjects);
      const strategies = await measureAll(url, contendedSubjects, asked.requests, signal);
      print(`${strategyTable(strategies)}\n`);
      const database = process.env.DATABASE_URL ? 'the database of DATABASE_URL' : 'embedded PostgreSQL';
      const service = own ? `started by the test, ${database}, POOL_MAX=${poolMax}` : 'already running';
      await write(asked, service, endpoints, strategies);
      return allHold([...endpoints, ...strategies]);
    } finally {
      await own?.stop();
    }
  },
});

async function measureAll(
  url: string,
  subjects: Subject[],
  calls: number,
  signal: AbortSignal,
): Promise<Measurement[]> {
  const measured: Measurement[] = [];
  for (const subject of subjects) measured.push(await measure(url, subject, calls, signal));
  return measured;
}

async function write(
  { out, connections, workers, increments, amount, requests }: Asked,
  service: string,
  endpoints: Measurement[],
  strategies: Measurement[],
): Promise<void> {
  const machine = {
    at: new Date().toISOString(),
    processors: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    service,
  };
  const load = { connections, workers, increments, amount, requests };
  const results = { machine, load, endpoints, strategies };
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  const drawn = pictures(strategies);
  for (const { file, svg } of drawn) await writeFile(join(out, file), svg);
  await writeFile(join(out, 'report.html'), report(results, drawn));
  print(`report: ${join(out, 'report.html')}`);
}

function allHold(measured: Measurement[]): boolean | null {
  const broken = measured.filter(({ holds }) => holds === false);
  const inconclusive = measured.filter(({ holds }) => holds === null);
  for (const { name, claim, connections, verdict } of broken) {
    print(`BROKEN: ${name} (${connections} at once) claims "${claim}", but: ${verdict}`);
  }
  for (const { name, connections, verdict } of inconclusive) {
    print(`${name} (${connections} at once): ${verdict}`);
  }
  if (broken.length > 0) return false;
  return inconclusive.length > 0 ? null : true;
}
