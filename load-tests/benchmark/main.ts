import { writeFile } from 'node:fs/promises';
import { runCommand } from '../../src/command-line/command.ts';
import { flag, part, path, whole, wholes } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { isMissed, shownRatios } from './figures/ratio.ts';
import { httpBenchmark } from './http/http-benchmark.ts';
import { shownHttp } from './http/http-tables.ts';
import { type OrmResult, ormBenchmark, shownOrm } from './orm/orm-benchmark.ts';

await runCommand({
  name: 'benchmark',
  about: `The counters over HTTP beside a no-op and beside a commit per request, and what MikroORM costs beside the bare driver:
everything in turns of the same run, on a database of its own, as medians.`,
  options: {
    only: part('http', 'orm'),
    rounds: whole('how often everything has its turn', 3, 100, 11),
    slice: whole('how long a turn takes, in milliseconds', 50, 10_000, 200),
    connections: wholes('http: requests under way at the same time', 1, 4096, '32,128,256,512'),
    workers: wholes('orm: how many increment one post at the same time', 1, 64, '1,8'),
    json: path('FILE', 'also writes everything that was measured'),
    assert: flag('exit code 1 when a ratio is below what it must be at least'),
  },
  variables: {},
  async run({ only, json, assert, workers, connections, rounds, slice: sliceMs }, signal) {
    const orm: OrmResult[] = [];
    for (const count of only === 'http' ? [] : workers) {
      const result = await ormBenchmark({ rounds, sliceMs, workers: count, signal });
      orm.push(result);
      print(shownOrm(result));
    }
    const http = only === 'orm' ? undefined : await httpBenchmark({ rounds, sliceMs, connections, signal });
    if (http) print(shownHttp(http, connections));
    const ratios = [...(http?.ratios ?? []), ...orm.flatMap((result) => result.ratios)];
    print(`\n${shownRatios(ratios)}`);
    const asked = { only, rounds, sliceMs, connections, workers };
    if (json) await writeFile(json, JSON.stringify({ options: asked, orm, http, ratios }, null, 2));
    return !(assert && ratios.some(isMissed));
  },
});
