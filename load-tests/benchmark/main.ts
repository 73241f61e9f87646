import { writeFile } from 'node:fs/promises';
import { runCommand } from '../../src/command-line/command.ts';
import { flag, part, path, whole, wholes } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { demosBenchmark, demosTable } from './demos/demos-benchmark.ts';
import { isMissed, ratiosTable } from './figures/ratio.ts';
import { httpBenchmark } from './http/http-benchmark.ts';
import { httpTables } from './http/http-tables.ts';
import { type OrmResult, ormBenchmark, ormTable } from './orm/orm-benchmark.ts';
import { redisVersion } from './peers/own-redis.ts';
import { peersBenchmark } from './peers/peers-benchmark.ts';
import { peersTable } from './peers/peers-tables.ts';
import { scaleBenchmark } from './scale/scale-benchmark.ts';
import { scaleTables } from './scale/scale-tables.ts';
import { storageTables, storageBenchmark } from './storage/storage-benchmark.ts';

await runCommand({
  name: 'benchmark',
  about: `The counters over HTTP beside a no-op and beside a commit per request, what MikroORM costs beside the bare driver,
what an increment leaves on disk, what a race costs the increments beside it, how cost grows with counters, keys, callers,
replicas and standbys, and the counters beside Redis and others: everything in turns of the same run, on a database of its
own, as medians. The part peers needs redis-server.`,
  options: {
    only: part('http', 'orm', 'storage', 'demos', 'scale', 'peers'),
    rounds: whole('how often everything has its turn', 3, 100, 11),
    slice: whole('how long a turn takes, in milliseconds', 50, 10_000, 200),
    connections: wholes('http: requests under way at the same time', 1, 4096, '1,32,128,256,512'),
    workers: wholes('orm: how many increment one post at the same time', 1, 64, '1,8'),
    preload: whole('storage: increments that were counted before', 1000, 10_000_000, 1_000_000),
    json: path('FILE', 'also writes everything that was measured'),
    assert: flag('exit code 1 when a ratio is below what it must be at least'),
  },
  variables: {},
  async run({ only, json, assert, workers, connections, preload, rounds, slice: sliceMs }, signal) {
    const wanted = (name: typeof only) => only === undefined || only === name;
    // Before anything is measured in vain.
    if (wanted('peers')) redisVersion();
    const orm: OrmResult[] = [];
    for (const count of wanted('orm') ? workers : []) {
      const result = await ormBenchmark({ rounds, sliceMs, workers: count, signal });
      orm.push(result);
      print(ormTable(result));
    }
    const http = wanted('http') ? await httpBenchmark({ rounds, sliceMs, connections, signal }) : undefined;
    if (http) print(httpTables(http, connections));
    const storage = wanted('storage') ? await storageBenchmark({ preload, signal }) : undefined;
    if (storage) print(storageTables(storage));
    const demos = wanted('demos') ? await demosBenchmark({ rounds, sliceMs, signal }) : undefined;
    if (demos) print(demosTable(demos));
    const scale = wanted('scale') ? await scaleBenchmark({ rounds, sliceMs, signal }) : undefined;
    if (scale) print(scaleTables(scale));
    const peers = wanted('peers') ? await peersBenchmark({ rounds, sliceMs, signal }) : undefined;
    if (peers) print(`\n${peersTable(peers)}`);
    const ratios = [
      ...(http?.ratios ?? []),
      ...orm.flatMap((result) => result.ratios),
      ...(demos?.ratios ?? []),
      ...(peers?.ratios ?? []),
    ];
    if (ratios.length > 0) print(`\n${ratiosTable(ratios)}`);
    const asked = { only, rounds, sliceMs, connections, workers, preload };
    if (json)
      await writeFile(
        json,
        JSON.stringify({ options: asked, orm, http, storage, demos, scale, peers, ratios }, null, 2),
      );
    return !(assert && ratios.some(isMissed));
  },
});
