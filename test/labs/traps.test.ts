import t from 'tap';
import { traps } from '../../src/labs/traps/index.ts';
import { holdAndLeaveNothing, labContext } from './lab-helper.ts';

t.test('every trap is still there, and its guard keeps out of it', async (t) => {
  await holdAndLeaveNothing(t, traps.experiments, await labContext(t));
});
