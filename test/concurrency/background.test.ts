import t from 'tap';
import { Background } from '../../src/concurrency/background.ts';

t.test('background work proceeds at once while the foreground is idle', async (t) => {
  const background = new Background();
  let looks = 0;
  await background.turn();
  background.yieldTo(() => {
    looks += 1;
    return false;
  });
  await background.turn();
  t.equal(looks, 1);
});

t.test('units of background work wait until the foreground is idle, and then proceed together', async (t) => {
  const background = new Background(60_000);
  let works = true;
  let looks = 0;
  background.yieldTo(() => {
    looks += 1;
    if (looks === 5) works = false;
    return works;
  });
  await Promise.all([background.turn(), background.turn(), background.turn()]);
  t.equal(looks, 5, 'one look for each of the three, and two for all of them');
});

t.test('a foreground that is never idle does not starve background work', async (t) => {
  const background = new Background(5);
  background.yieldTo(() => true);
  const startedAt = performance.now();
  await background.turn();
  await background.turn();
  t.ok(performance.now() - startedAt >= 9, 'each turn has waited');
});
