import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { loadConfig } from '../config.ts';
import { migrate } from '../database/migrate.ts';
import { type Database, openDatabase } from '../database/orm.ts';
import { probeSessions } from '../database/settings.ts';
import { entities } from '../entities.ts';
import { labs } from '../labs/index.ts';
import { Laboratory } from '../labs/laboratory.ts';
import { Arena } from '../races/arena.ts';
import { runUntilItLoses, type TrialResult } from '../races/trial.ts';
import { strategies } from '../strategies/index.ts';
import { type Claimed, type Judgement, judgeAll } from './judgement.ts';

export interface Verification {
  databaseUrl: string;
  /** Numbers of concurrent workers; each strategy runs with each of them. */
  workers: readonly number[];
  /** Increments of each worker. */
  increments: number;
  /** The only part to run; undefined: both. */
  only: 'strategies' | 'experiments' | undefined;
  signal: AbortSignal;
}

/** The result of a strategy's race, or why it could not be run. */
interface StrategyJudgement extends Judgement {
  strategy: string;
  claim: string;
  workers: number;
  increments_per_second: number;
}

interface ExperimentJudgement extends Judgement {
  lab: string;
  experiment: string;
  claim: string;
}

export interface VerificationResult {
  server: string;
  rows: StrategyJudgement[];
  experiments: ExperimentJudgement[];
}

/** Warnings about the database go to stderr. */
const log = { info: () => {}, warn: (message: string) => console.error(message) };

/** Long timeouts: on a slow database, the last transaction in the queue for a row waits long without breaking a claim. */
const LONG_TIMEOUTS = {
  LOCK_TIMEOUT_MS: '60000',
  STATEMENT_TIMEOUT_MS: '90000',
  IDLE_IN_TRANSACTION_TIMEOUT_MS: '90000',
};

/**
 * Runs every strategy and every experiment on the database, in temporary schemas that are always removed afterwards.
 *
 * @throws any error of connecting, creating the schema or migrating; the signal's reason when it is aborted
 */
export async function verify(verification: Verification): Promise<VerificationResult> {
  const { databaseUrl, workers, only, signal } = verification;
  const seats = Math.max(...workers);
  // In addition to the workers, the writes of group commit, and creating and counting posts, need connections.
  const config = loadConfig({ ...LONG_TIMEOUTS, POOL_MAX: String(seats + 3) });
  const session = await probeSessions(databaseUrl, loadConfig({}), log.warn);
  const schema = `safe_counters_verify_${randomBytes(6).toString('hex')}`;
  const options = { databaseUrl, entities, config, log, session, schema };
  const database = openDatabase(options);
  const em = database.orm.em.fork();
  try {
    await migrate({ ...options, alone: true });
    const [{ version } = { version: '' }] = await em.execute<{ version: string }[]>('select version()');
    const races =
      only === 'experiments' ? [] : racesOf(verification, database, new Arena(database.sessions, seats));
    const experiments = only === 'strategies' ? [] : experimentsOf(verification, session.refused);
    return {
      server: version.split(' on ')[0] ?? version,
      rows: await judgeAll(races, signal),
      experiments: await judgeAll(experiments, signal),
    };
  } finally {
    await em.execute(`drop schema if exists "${schema}" cascade`);
    await database.close();
  }
}

const racesOf = ({ workers, increments, signal }: Verification, { orm }: Database, arena: Arena) => {
  const silent = pino({ level: 'silent' });
  return workers.flatMap((count) =>
    strategies.map(
      (strategy): Claimed<Omit<StrategyJudgement, keyof Judgement>> => ({
        title: `${strategy.name}, ${count} workers`,
        about: { strategy: strategy.name, claim: strategy.claim, workers: count, increments_per_second: 0 },
        judge: async () =>
          judgementOf(
            await runUntilItLoses(orm, arena, {
              strategy,
              workers: count,
              increments,
              signal,
              log: silent,
            }),
          ),
      }),
    ),
  );
};

/** The experiments need dedicated sessions, which a pooler in transaction mode does not provide. */
function experimentsOf({ databaseUrl, signal }: Verification, pooled: boolean) {
  const laboratory = new Laboratory({ databaseUrl, config: loadConfig({}), log });
  return labs.flatMap((lab) =>
    lab.experiments.map(
      (experiment): Claimed<Omit<ExperimentJudgement, keyof Judgement>> => ({
        title: `${lab.name}/${experiment.name}`,
        about: { lab: lab.name, experiment: experiment.name, claim: experiment.claim },
        judge: async () => {
          if (pooled)
            return {
              holds: true,
              verdict: 'not supported: needs dedicated sessions, which a pooler does not provide',
            };
          const { holds, figures } = await laboratory.run(experiment, signal);
          if (holds === null) return { holds: true, verdict: `not supported: ${figures.verdict ?? ''}` };
          return { holds, verdict: holds ? 'holds' : 'does not hold' };
        },
      }),
    ),
  );
}

function judgementOf(result: TrialResult): Judgement & { increments_per_second: number } {
  const { holds, verdict, lost, attempted, acknowledged, violations, increments_per_second } = result;
  const words = {
    exact: 'exact',
    rejects: `lost none, ${attempted - acknowledged} of ${attempted} refused`,
    loses: `lost ${lost} of ${acknowledged}${holds ? ' (expected)' : ''}`,
    inconclusive: `inconclusive: too slow to tell, ${acknowledged} acknowledged`,
  };
  const broken = holds !== false ? '' : ` (${violations[0] ?? 'unexpected'})`;
  return { holds, verdict: words[verdict] + broken, increments_per_second };
}
