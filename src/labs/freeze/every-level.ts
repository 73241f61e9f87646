import type { Experiment } from '../bench/experiment.ts';
import { levels } from '../bench/levels.ts';
import { ROWS, T1, T2, T3, TABLE } from '../bench/sessions.ts';
import { transcript } from '../bench/transcript.ts';
import { Stepper } from '../bench/schedule.ts';

const steps = [
  T1.write(1, 11),
  T3.read(1),
  T2.step("set local lock_timeout = '200ms'"),
  T2.write(1, 12),
  T2.commit,
  T3.commit,
  T1.commit,
];

export const everyLevel: Experiment = {
  name: 'every-level',
  claim:
    'No isolation level prevents a freeze: at each of them a writer waits for the previous writer of the row, and readers never wait; the lock timeout ends the wait.',
  cure: `
-- For this transaction only; the other limits stay as they are.
set local lock_timeout = '200ms';`,
  setup: `${TABLE}; ${ROWS}`,
  async run(scratch) {
    const stepper = new Stepper(scratch);
    const seen: Record<string, string> = {};
    for (const level of levels) {
      await scratch.outside.query(ROWS);
      scratch.timeline.part = level;
      const begins = [T1, T2, T3].map(({ step }) => step(`begin isolation level ${level}`));
      seen[level] = transcript(await stepper.run([...begins, ...steps]));
    }
    const holds = levels.every((level) => seen[level] === 'T3 1→10, T2 ⏸ T1, T2 ✗ 55P03');
    return { holds, figures: { seen } };
  },
};
