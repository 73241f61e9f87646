import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { httpBenchmark } from './http/http-benchmark.ts';
import { shownHttp } from './http/http-tables.ts';
import { parsed, toldUsage, UsageError, whole, wholes } from '../load-test/options.ts';
import { type OrmResult, ormBenchmark, shownOrm } from './orm-benchmark.ts';
import { isMissed, shownRatios } from './ratio.ts';

const USAGE = `Usage: npm run benchmark -- [options]
The counters over HTTP beside a no-op and beside a commit per request, and what MikroORM costs beside the bare driver:
everything in turns of the same run, as medians.
  --only PART         http or orm (default: both)
  --rounds N          how often everything has its turn, 3 to 100 (default 11)
  --slice MS          how long a turn takes, 50 to 10000 (default 200)
  --connections LIST  http: requests under way at the same time, each 1 to 4096 (default 32,128,256,512)
  --contenders LIST   orm: how many increment one post at the same time, each 1 to 64 (default 1,8)
  --json FILE         also writes everything that was measured
  --assert            exit code 1 when a ratio is below what it must be at least`;

try {
  await benchmark(readArguments(process.argv.slice(2)));
} catch (error) {
  if (!toldUsage(error, USAGE)) throw error;
}

function readArguments(args: string[]) {
  const text = { type: 'string' } as const;
  const options = {
    only: text,
    rounds: text,
    slice: text,
    connections: text,
    contenders: text,
    json: text,
    assert: { type: 'boolean' },
  } as const;
  const { values } = parsed(() => parseArgs({ args, options }));
  const { only } = values;
  if (only !== undefined && only !== 'http' && only !== 'orm')
    throw new UsageError(`--only is "${only}"; allowed: http or orm`);
  return {
    only,
    json: values.json,
    assert: values.assert ?? false,
    rounds: whole('rounds', values.rounds ?? '11', 3, 100),
    sliceMs: whole('slice', values.slice ?? '200', 50, 10_000),
    connections: wholes('connections', values.connections ?? '32,128,256,512', 1, 4096),
    contenders: wholes('contenders', values.contenders ?? '1,8', 1, 64),
  };
}

async function benchmark(options: ReturnType<typeof readArguments>): Promise<void> {
  const orm: OrmResult[] = [];
  for (const contenders of options.only === 'http' ? [] : options.contenders) {
    const result = await ormBenchmark({ ...options, contenders });
    orm.push(result);
    console.log(shownOrm(result));
  }
  const http = options.only === 'orm' ? undefined : await httpBenchmark(options);
  if (http) console.log(shownHttp(http, options.connections));
  const ratios = [...(http?.ratios ?? []), ...orm.flatMap((result) => result.ratios)];
  console.log(`\n${shownRatios(ratios)}`);
  if (options.json) await writeFile(options.json, JSON.stringify({ options, orm, http, ratios }, null, 2));
  if (options.assert && ratios.some(isMissed)) process.exitCode = 1;
}
