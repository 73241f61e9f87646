import t from 'tap';
import { runExperiment } from '../../src/labs/bench/experiment.ts';
import { experimentOf } from '../../src/labs/traps/trap.ts';
import { labContext } from './lab-helper.ts';

const way = (seen: boolean) => async () => ({ seen, figures: {} });
const trap = {
  name: 'a-trap',
  claim: 'Something happens.',
  expectation: 'Nothing does.',
  guard: 'Care.',
  cure: 'takeCare();',
};

t.test('if MikroORM has fixed a trap, its experiment fails and says so', async (t) => {
  const fixed = experimentOf({ ...trap, fallInto: way(false), avoid: way(true) });
  t.match(await runExperiment(fixed, await labContext(t)), {
    holds: false,
    figures: { verdict: /no longer has the trap/ },
  });
});

t.test('an experiment fails if its guard does not avoid the trap', async (t) => {
  const unguarded = experimentOf({ ...trap, fallInto: way(true), avoid: way(false) });
  t.match(await runExperiment(unguarded, await labContext(t)), {
    holds: false,
    figures: { verdict: /guard does not/ },
  });
});
