import t from 'tap';
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

t.test('a trap that a later version has fixed fails, and says so', async (t) => {
  const mended = experimentOf({ ...trap, fallInto: way(false), avoid: way(true) });
  t.match(await mended.run(await labContext(t)), {
    holds: false,
    evidence: { figures: { verdict: /no longer has the trap/ } },
  });
});

t.test('a guard that does not work fails, too', async (t) => {
  const open = experimentOf({ ...trap, fallInto: way(true), avoid: way(false) });
  t.match(await open.run(await labContext(t)), {
    holds: false,
    evidence: { figures: { verdict: /guard does not/ } },
  });
});
