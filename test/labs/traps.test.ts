import t from 'tap';
import { traps } from '../../src/labs/traps/index.ts';
import { holdAndLeaveNothing, labContext } from './lab-helper.ts';

t.test('every trap still exists, and its guard avoids it', async (t) => {
  await holdAndLeaveNothing(t, traps.experiments, await labContext(t));
});
