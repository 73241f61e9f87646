import type { EntityManager } from '@mikro-orm/postgresql';
import { Pool } from 'pg';
import { table } from '../../../src/command-line/table.ts';
import { loadConfig } from '../../../src/config.ts';
import { migrate } from '../../../src/database/migrate.ts';
import { openDatabase } from '../../../src/database/orm.ts';
import { entities } from '../../../src/entities.ts';
import { strategies } from '../../../src/strategies/index.ts';
import type { Strategy } from '../../../src/likes/strategy.ts';
import { quiet, withOwnDatabase } from '../../shared/own-database.ts';
import type { Ratio } from '../figures/ratio.ts';
import { bareDriver } from './bare-driver.ts';
import { SCHEMA } from './posts.ts';
import { inTurns, type Runner, type RunnerSpeed, speedRatio, type Turns } from './turns.ts';

export interface OrmResult {
  workers: number;
  measured: RunnerSpeed[];
  ratios: Ratio[];
}

/** Measures every strategy through MikroORM, and two of them through the bare driver, on a fresh database. */
export const ormBenchmark = (turns: Turns): Promise<OrmResult> =>
  withOwnDatabase(100, async (databaseUrl) => {
    const config = loadConfig({ POOL_MAX: String(turns.workers + 3) });
    const opened = { databaseUrl, entities, config, log: quiet, schema: SCHEMA };
    await migrate(opened);
    const { orm } = openDatabase(opened);
    const pool = new Pool({ connectionString: databaseUrl, max: config.POOL_MAX });
    // The pool replaces a connection that breaks while idle.
    pool.on('error', (error) => quiet.warn(error.message));
    try {
      const bare = bareDriver(pool);
      // Subjects that are compared take turns one after the other.
      const runners = strategies.flatMap((strategy): Runner[] => [
        ...bare.filter(({ name }) => name === `${strategy.name}, bare driver`),
        { name: strategy.name, increment: (pk) => increment(strategy, orm.em.fork(), pk) },
      ]);
      const measured = await inTurns(pool, runners, turns);
      return { workers: turns.workers, measured, ratios: ratiosOf(measured, turns.workers) };
    } finally {
      await pool.end();
      await orm.close();
    }
  });

const ratiosOf = (measured: readonly RunnerSpeed[], workers: number): Ratio[] =>
  ['atomic', 'pessimistic'].map((name) => ({
    name: `${name} through MikroORM ÷ bare driver, ${workers} at a time`,
    spread: speedRatio(measured, name, `${name}, bare driver`),
    atLeast: 0.6,
    aim: 0.8,
  }));

export function ormTable({ workers, measured }: OrmResult): string {
  const rows = measured.map(({ name, perSecond }) => [name, perSecond.median, perSecond.min, perSecond.max]);
  return [
    `\n${workers} at the same time on one post, without HTTP; commits are durable`,
    '',
    table(['increments a second', 'median', 'lowest', 'highest'], rows),
  ].join('\n');
}

/** A conflict is an increment that does not count, not a failure. */
function increment(strategy: Strategy, em: EntityManager, pk: number): Promise<boolean> {
  return strategy.increment(em, pk).then(
    () => true,
    () => false,
  );
}
