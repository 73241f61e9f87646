import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { codeOf, messageOf } from '../errors/caught.ts';
import { type Config, loadConfig } from '../config.ts';
import { migrate } from '../database/migrate.ts';
import { type Database, type DatabaseOptions, openDatabase } from '../database/orm.ts';
import { refusesSettings } from '../database/settings.ts';
import { entities } from '../entities.ts';
import { labs } from '../labs/index.ts';
import { Laboratory } from '../labs/laboratory.ts';
import { Arena } from '../races/arena.ts';
import { runTrial, type TrialResult } from '../races/trial.ts';
import { strategies } from '../strategies/index.ts';

export interface Verification {
  databaseUrl: string;
  /** How many contend, one after another. */
  contenders: readonly number[];
  /** Increments of each contender. */
  rounds: number;
  /** Whether the experiments of the laboratories are left out. */
  strategiesOnly: boolean;
  signal: AbortSignal;
  warn: (message: string) => void;
  /** Told before each race. */
  onStart?: (title: string, done: number, of: number) => void;
}

/** What a strategy's race came to, or why it could not be run. */
export interface Verified {
  strategy: string;
  claim: string;
  contenders: number;
  holds: boolean;
  /** In a few words: "exact", "loses 12 of 20", "not supported: …". */
  verdict: string;
  increments_per_second: number;
}

/** What came of an experiment of the laboratories. */
export interface Examined {
  lab: string;
  experiment: string;
  claim: string;
  holds: boolean;
  verdict: string;
}

export interface VerificationResult {
  server: string;
  rows: Verified[];
  experiments: Examined[];
}

/** What an engine does not know: feature_not_supported, syntax_error, undefined_function, undefined_object. */
const NOT_SUPPORTED = new Set(['0A000', '42601', '42883', '42704']);

/**
 * Runs every strategy and every experiment against the database, in schemas that nobody else uses and that are removed
 * afterwards, whatever happens.
 *
 * @throws what connecting, making the schema or migrating threw; the signal's reason
 */
export async function verify(verification: Verification): Promise<VerificationResult> {
  const { databaseUrl, contenders, warn } = verification;
  const seats = Math.max(...contenders);
  // The write of a group, and the looking after it all, need a connection besides.
  const config = loadConfig({ POOL_MAX: String(seats + 3) });
  const pooled = await refusesSettings(databaseUrl, config, warn);
  const log = { info: () => {}, warn };
  const schema = `safe_counters_verify_${randomBytes(6).toString('hex')}`;
  const options: DatabaseOptions = { databaseUrl, entities, config, log, pooled, schema };
  const database = openDatabase(options);
  const em = database.orm.em.fork();
  try {
    await em.execute(`create schema "${schema}"`);
    await migrate(options);
    const [{ version } = { version: '' }] = await em.execute<{ version: string }[]>('select version()');
    const server = version.split(' on ')[0] ?? version;
    const rows = await races(verification, database, new Arena(database.sessions, seats));
    return {
      server,
      rows,
      experiments: verification.strategiesOnly ? [] : await experiments(verification, config, pooled),
    };
  } finally {
    await em.execute(`drop schema if exists "${schema}" cascade`);
    await database.orm.close();
  }
}

async function races(verification: Verification, { orm }: Database, arena: Arena): Promise<Verified[]> {
  const { contenders, rounds, signal, onStart } = verification;
  const log = pino({ level: 'silent' });
  const all = contenders.flatMap((count) =>
    strategies.map((strategy) => ({ strategy, contenders: count, rounds })),
  );
  const rows: Verified[] = [];
  for (const one of all) {
    signal.throwIfAborted();
    onStart?.(`${one.strategy.name} among ${one.contenders}`, rows.length, all.length);
    const about = { strategy: one.strategy.name, claim: one.strategy.claim, contenders: one.contenders };
    const result = await runTrial(orm, arena, { ...one, signal, log }).catch((error: unknown) => {
      signal.throwIfAborted();
      return failed(error);
    });
    rows.push({ ...about, ...('verdict' in result && 'final' in result ? passed(result) : result) });
  }
  return rows;
}

/** The laboratories need sessions of their own; where a pooler hands out others, what they show is not to be had. */
async function experiments(verification: Verification, config: Config, pooled: boolean): Promise<Examined[]> {
  const { databaseUrl, signal, warn, onStart } = verification;
  const laboratory = new Laboratory({ databaseUrl, config, log: { info: () => {}, warn } });
  const all = labs.flatMap((lab) => lab.experiments.map((experiment) => ({ lab: lab.name, experiment })));
  const examined: Examined[] = [];
  for (const { lab, experiment } of all) {
    signal.throwIfAborted();
    onStart?.(`${lab}/${experiment.name}`, examined.length, all.length);
    const result = pooled
      ? { holds: true, verdict: 'not supported: needs sessions of its own, and there is a pooler' }
      : await laboratory.run(experiment, signal).then(
          ({ holds }) => ({ holds, verdict: holds ? 'holds' : 'does not hold' }),
          (error: unknown) => {
            signal.throwIfAborted();
            const { holds, verdict } = failed(error);
            return { holds, verdict };
          },
        );
    examined.push({ lab, experiment: experiment.name, claim: experiment.claim, ...result });
  }
  return examined;
}

function passed({
  holds,
  verdict,
  lost,
  attempted,
  acknowledged,
  violations,
  increments_per_second,
}: TrialResult) {
  const words = {
    exact: 'exact',
    rejects: `exact, ${attempted - acknowledged} of ${attempted} refused`,
    loses: `loses ${lost} of ${acknowledged}`,
  };
  const broken = holds ? '' : ` (${violations[0] ?? 'not what it claims'})`;
  return { holds, verdict: words[verdict] + broken, increments_per_second };
}

/** A strategy that an engine cannot run makes no claim there; one that fails otherwise breaks its claim. */
function failed(error: unknown): Omit<Verified, 'strategy' | 'claim' | 'contenders'> {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const supported = !NOT_SUPPORTED.has(codeOf(error) ?? codeOf(cause) ?? '');
  const why = messageOf(supported ? error : cause).split('\n')[0];
  return {
    holds: !supported,
    verdict: `${supported ? 'failed' : 'not supported'}: ${why}`,
    increments_per_second: 0,
  };
}
