import t from 'tap';
import { Quota } from '../../src/concurrency/quota.ts';

function newQuota(perSecond: number) {
  const clock = { ms: 12_345.678 };
  const quota = new Quota(perSecond, () => clock.ms);
  /** Spends single units until the quota is used up. @returns how many there were */
  const drain = () => {
    let spent = 0;
    for (; quota.waitMs === 0; spent += 1) quota.spend(1);
    return spent;
  };
  return { clock, quota, drain };
}

t.test('the units of one second may be spent at once, and then as many in each second', async (t) => {
  for (const perSecond of [1, 3, 7, 500]) {
    const { clock, drain } = newQuota(perSecond);
    t.equal(drain(), perSecond, 'at once');
    clock.ms += 1000;
    t.equal(drain(), perSecond, 'a second later');
    clock.ms += 60_000;
    t.equal(drain(), perSecond, 'a pause accumulates no more than that');
    let spent = 0;
    for (let i = 0; i < 100; i += 1) {
      clock.ms += 100;
      spent += drain();
    }
    t.equal(spent, perSecond * 10, 'in ten seconds');
  }
});

t.test('the wait is as long as it takes until the next unit', async (t) => {
  const { clock, quota, drain } = newQuota(4);
  drain();
  t.equal(quota.waitMs, 250);
  clock.ms += 249;
  t.equal(quota.waitMs, 1);
  clock.ms += 1;
  t.equal(drain(), 1);
});

t.test('a request that is larger than the quota is admitted, and paid off before the next one', async (t) => {
  const { clock, quota, drain } = newQuota(10);
  quota.spend(1000);
  t.equal(quota.waitMs, 99_100, '10 were available, 990 are owed, and 1 is needed');
  clock.ms += 99_100;
  t.equal(drain(), 1);
});
