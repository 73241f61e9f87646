import type { TimelineEntry } from '../../timeline/entry.ts';
import type { AnomalyDescription, Experiment } from '../bench/experiment.ts';
import { Stepper, type Step } from '../bench/schedule.ts';
import type { Scratch } from '../bench/scratch.ts';
import { byLevel, type Level, levels } from '../bench/levels.ts';
import { ROWS, TABLE } from '../bench/sessions.ts';
import { isRow, type TestRow, formatRows, transcript } from '../bench/transcript.ts';

/** What was observed of one schedule at one level. */
export interface Run {
  entries: readonly TimelineEntry[];
  /** The rows that a session read in its n-th read, counted from 0. */
  reads: (session: string, n: number) => TestRow[];
  /** Whether its transaction was committed. */
  committed: (session: string) => boolean;
  final: string;
}

/** The phenomena by which the SQL standard and PostgreSQL's documentation define the levels. */
export const phenomena = [
  'dirty read',
  'nonrepeatable read',
  'phantom read',
  'serialization anomaly',
] as const;

export type Phenomenon = (typeof phenomena)[number];

/** A schedule, and how PostgreSQL treats it. */
export interface Anomaly {
  /** The name of the experiment. */
  name: string;
  code: string;
  anomaly: string;
  meaning: string;
  steps: readonly Step[];
  /** Whether the anomaly was observed. */
  happens: (run: Run) => boolean;
  /** Other phenomena that the schedule can show; the anomaly itself always counts as a serialization anomaly. */
  shows?: Partial<Record<Phenomenon, (run: Run) => boolean>>;
  /** The levels at which it must occur. At all others it is prevented. */
  possible: readonly Level[];
  /** The transcript and the final rows; in PostgreSQL, read uncommitted behaves like read committed. */
  expected: Record<Exclude<Level, 'read uncommitted'>, string>;
}

interface Cell {
  verdict: 'possible' | 'prevented';
  phenomena: Phenomenon[];
  seen: string;
  expected: string;
  /** The final rows of the table. */
  final: TestRow[];
  as_expected: boolean;
}

export type Cells = Record<Level, Cell>;

/** The anomaly as an experiment: its schedule runs at every level, and each result is compared with the expected one. */
export function experimentOf(anomaly: Anomaly): Experiment {
  return {
    name: anomaly.name,
    claim: claimOf(anomaly),
    anomaly: describe(anomaly),
    setup: TABLE,
    async run(scratch) {
      const stepper = new Stepper(scratch);
      const seen = new Map<Level, Cell>();
      for (const level of levels) seen.set(level, await cellAt(level, anomaly, scratch, stepper));
      const cells = byLevel((level) => seen.get(level));
      const holds = [...seen.values()].every((cell) => cell.as_expected);
      return { holds, figures: { cells } };
    },
  };
}

function describe({ code, anomaly: name, meaning, possible }: Anomaly): AnomalyDescription {
  return { code, name, meaning, expected: byLevel((level) => verdictOf(possible.includes(level))) };
}

const verdictOf = (happens: boolean) => (happens ? 'possible' : 'prevented');

function claimOf({ code, anomaly, meaning, possible }: Anomaly): string {
  const title = `${code}, ${anomaly}: ${meaning}`;
  if (possible.length === 0) return `${title}: prevented at every level.`;
  return `${title}: possible at ${possible.join(', ')} only.`;
}

async function cellAt(level: Level, anomaly: Anomaly, scratch: Scratch, stepper: Stepper): Promise<Cell> {
  await scratch.outside.query(ROWS);
  scratch.timeline.part = level;
  const sessions = new Set(anomaly.steps.map(({ session }) => session));
  const begins = [...sessions].map((session) => ({ session, sql: `begin isolation level ${level}` }));
  const entries = await stepper.run([...begins, ...anomaly.steps]);
  const { rows } = await scratch.outside.query('select id, value from test order by id');
  const final = rows.filter(isRow);
  const run = runOf(entries, formatRows(final));
  const seen = [transcript(entries), `= ${run.final}`].filter(Boolean).join(' ');
  const verdict = verdictOf(anomaly.happens(run));
  const witnessed = phenomena.filter((name) => anomaly.shows?.[name]?.(run));
  if (verdict === 'possible') witnessed.push('serialization anomaly');
  const expected = anomaly.expected[level === 'read uncommitted' ? 'read committed' : level];
  const asExpected = seen === expected && (verdict === 'possible') === anomaly.possible.includes(level);
  return { verdict, phenomena: witnessed, seen, expected, final, as_expected: asExpected };
}

function runOf(entries: readonly TimelineEntry[], final: string): Run {
  const of = (session: string) => entries.filter((entry) => entry.session === session);
  return {
    entries,
    reads: (session, n) => {
      const reads = of(session).filter(({ sql, sqlstate }) => sql?.startsWith('select') && !sqlstate);
      return (reads[n]?.rows ?? []).filter(isRow);
    },
    committed: (session) =>
      of(session).some(
        ({ sql, sqlstate, command }) => sql === 'commit' && !sqlstate && command !== 'ROLLBACK',
      ),
    final,
  };
}
