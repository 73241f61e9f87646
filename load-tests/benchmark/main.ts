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
import { statementsBenchmark, statementsTables } from './statements/statements-benchmark.ts';
import { storageTables, storageBenchmark } from './storage/storage-benchmark.ts';

await runCommand({
  name: 'benchmark',
  about: `Measures the counters and their alternatives in alternating turns of one run, each part on a new database, and prints
medians. The parts:

  orm      MikroORM, compared with the bare driver
  http     the counters over HTTP, compared with a no-op and with one commit per request
  storage  the disk space that increments take
  demos    the latency of increments while a race runs in the same process
  scale    how the cost grows with counters, keys, callers, replicas and standbys
  peers    the counters, compared with Redis and others; needs redis-server
  statements  the statements that write batches, compared with the bare upsert and with an earlier form`,
  example: '--only http --rounds 3 --connections 1,128',
  options: {
    only: part('http', 'orm', 'storage', 'demos', 'scale', 'peers', 'statements'),
    rounds: whole('the number of turns of each subject', 3, 100, 11),
    slice: whole('the length of a turn in milliseconds', 50, 10_000, 200),
    connections: wholes(
      'http: the numbers of concurrent connections to measure with',
      1,
      4096,
      '1,32,128,256,512',
    ),
    workers: wholes('orm: the numbers of concurrent workers that increment one post', 1, 64, '1,8'),
    preload: whole('storage: the number of increments before the measurement', 1000, 10_000_000, 1_000_000),
    json: path('FILE', 'also writes all measurements as JSON'),
    assert: flag('checks that the median of each ratio reaches its minimum'),
  },
  variables: {},
  exitCodes: { 1: 'with --assert, a ratio is below its minimum' },
  async run({ only, json, assert, workers, connections, preload, rounds, slice: sliceMs }, signal) {
    const wanted = (name: typeof only) => only === undefined || only === name;
    // First, so that a missing redis-server is reported before the measurements.
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
    const statements = wanted('statements') ? await statementsBenchmark({ rounds, signal }) : undefined;
    if (statements) print(statementsTables(statements));
    const ratios = [
      ...(http?.ratios ?? []),
      ...orm.flatMap((result) => result.ratios),
      ...(demos?.ratios ?? []),
      ...(peers?.ratios ?? []),
      ...(statements?.ratios ?? []),
    ];
    if (ratios.length > 0) print(`\n${ratiosTable(ratios)}`);
    const asked = { only, rounds, sliceMs, connections, workers, preload };
    if (json)
      await writeFile(
        json,
        JSON.stringify(
          { options: asked, orm, http, storage, demos, scale, peers, statements, ratios },
          null,
          2,
        ),
      );
    return !(assert && ratios.some(isMissed));
  },
});
