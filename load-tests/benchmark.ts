import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Pool } from 'pg';
import { loadConfig } from '../src/config.ts';
import { startEmbedded } from '../src/database/embedded.ts';
import { migrate } from '../src/database/migrate.ts';
import { openDatabase } from '../src/database/orm.ts';
import { entities } from '../src/entities.ts';
import { strategies } from '../src/strategies/index.ts';
import type { Strategy } from '../src/strategies/strategy.ts';
import { bareDriver } from './bare-driver.ts';
import { interleaved, type Measured, type Runner, ratio } from './interleaved.ts';
import { parsed, UsageError, whole } from './options.ts';
import { progress } from './progress.ts';
import { table } from './table.ts';

const USAGE = `Usage: npm run benchmark -- [--rounds N] [--slice MS] [--contenders LIST]
Increments a second of every strategy, and what MikroORM costs beside the bare driver: in turns, as medians.
  --rounds N         how often everything has its turn, 3 to 100 (default 7)
  --slice MS         how long a turn takes, 50 to 10000 (default 400)
  --contenders LIST  how many increment one post at the same time, one after another (default 1,8)`;

try {
  const options = readArguments(process.argv.slice(2));
  for (const contenders of options.contenders) console.log(await benchmark({ ...options, contenders }));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}

function readArguments(args: string[]) {
  const text = { type: 'string' } as const;
  const options = { rounds: text, slice: text, contenders: text };
  const { values } = parsed(() => parseArgs({ args, options }));
  return {
    rounds: whole('rounds', values.rounds ?? '7', 3, 100),
    sliceMs: whole('slice', values.slice ?? '400', 50, 10_000),
    contenders: (values.contenders ?? '1,8').split(',').map((one) => whole('contenders', one, 1, 64)),
  };
}

/** A fresh database with durable commits, every strategy through MikroORM, two of them through the driver alone. */
async function benchmark(options: { rounds: number; sliceMs: number; contenders: number }): Promise<string> {
  const config = loadConfig({ POOL_MAX: String(options.contenders + 3) });
  const folder = await mkdtemp(join(tmpdir(), 'safe-counters-benchmark-'));
  await chmod(folder, 0o755);
  const log = { info: () => {}, warn: (message: string) => console.error(message) };
  const server = await startEmbedded(join(folder, 'data'), 100, log);
  const opened = { databaseUrl: server.databaseUrl, entities, config, log };
  try {
    await migrate(opened);
    const { orm } = openDatabase(opened);
    const pool = new Pool({ connectionString: server.databaseUrl, max: config.POOL_MAX });
    try {
      const bare = bareDriver(pool);
      // Who is compared has its turn one after the other.
      const runners = strategies.flatMap((strategy): Runner[] => [
        ...bare.filter(({ name }) => name === `${strategy.name}, bare driver`),
        { name: strategy.name, increment: (pk) => increment(strategy, orm.em.fork(), pk) },
      ]);
      return shown(options.contenders, await interleaved(pool, runners, options, progress));
    } finally {
      progress();
      await pool.end();
      await orm.close();
    }
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function shown(contenders: number, measured: readonly Measured[]): string {
  const rows = measured.map(({ name, perSecond }) => [name, perSecond.median, perSecond.min, perSecond.max]);
  const ratios = ['atomic', 'pessimistic'].map((name) => {
    const { median, min, max } = ratio(measured, name, `${name}, bare driver`);
    return [name, median.toFixed(2), `${min.toFixed(2)} to ${max.toFixed(2)}`];
  });
  return [
    `\n${contenders} at the same time on one post; commits are durable`,
    '',
    table(['increments a second', 'median', 'lowest', 'highest'], rows),
    '',
    table(['through MikroORM ÷ bare driver', 'median', 'spread'], ratios),
  ].join('\n');
}

/** A conflict is an increment less, not the end. */
function increment(strategy: Strategy, em: EntityManager, pk: number): Promise<boolean> {
  return strategy.increment(em, pk).then(
    () => true,
    () => false,
  );
}
