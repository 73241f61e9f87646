import type { Experiment } from '../bench/experiment.ts';
import { Stepper } from '../bench/schedule.ts';
import { type Level, levels } from '../bench/levels.ts';
import { T1, T2, TABLE } from '../bench/sessions.ts';
import { transcript } from '../bench/transcript.ts';

/** The steps of the blog post, and one more read after the commit. */
const steps = [T1.insert(1, 10), T2.read(1), T1.write(1, 11), T2.read(1), T1.commit, T2.read(1), T2.commit];

/** No session fails or waits; whether the row is visible after the commit depends on the level. */
const expected = (level: Level) =>
  level.startsWith('read') ? 'T2 none, T2 none, T2 1→11' : 'T2 none, T2 none, T2 none';

export const uncommittedRow: Experiment = {
  name: 'uncommitted-row',
  claim:
    'An uncommitted row is invisible to all other sessions, at every level: a read finds nothing, without an error and without waiting.',
  setup: TABLE,
  async run(scratch) {
    const stepper = new Stepper(scratch);
    const seen: Record<string, string> = {};
    for (const level of levels) {
      await scratch.outside.query('delete from test');
      scratch.timeline.part = level;
      const begins = [T1, T2].map(({ step }) => step(`begin isolation level ${level}`));
      seen[level] = transcript(await stepper.run([...begins, ...steps]));
    }
    const holds = levels.every((level) => seen[level] === expected(level));
    return { holds, figures: { seen } };
  },
};
