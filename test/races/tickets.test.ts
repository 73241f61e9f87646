import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { Arena } from '../../src/races/arena.ts';
import { experiments } from '../../src/races/experiments/index.ts';
import { tickets } from '../../src/races/experiments/tickets.ts';
import { runTrial, runUntilItLoses } from '../../src/races/trial.ts';
import { strategies } from '../../src/strategies/index.ts';
import { SoldOutError } from '../../src/likes/stock.ts';
import type { Strategy } from '../../src/likes/strategy.ts';
import { unsafe } from '../../src/strategies/unsafe.ts';
import { CHECKOUT, testApp, testOrm } from '../helper.ts';

const { orm, sessions } = await testOrm(t, { POOL_MAX: '12' });
const arena = new Arena(sessions, 8);
const { signal } = new AbortController();
const log = pino({ level: 'silent' });
/** 200 buyers: 8 workers with 25 increments each. */
const sale = { experiment: tickets, workers: 8, increments: 25, signal, log };
const eligible = strategies.filter((strategy) => tickets.takes(strategy));

t.test('every experiment in the folder is in the registry', async (t) => {
  const files = await readdir(join(CHECKOUT, 'src/races/experiments'));
  const names = files.map((file) => file.replace('.ts', ''));
  t.strictSame(
    names.filter((name) => name !== 'index' && name !== 'experiment'),
    experiments.map(({ name }) => name).toSorted(),
  );
});

t.test('200 buyers get 100 of 100 tickets from each strategy that loses no likes', async (t) => {
  t.ok(eligible.length > 10);
  for (const strategy of eligible) {
    const { timeline: _, ...result } = await runUntilItLoses(orm, arena, { ...sale, strategy });
    t.match(result, { experiment: 'tickets', stock: 100, attempted: 200, holds: true }, strategy.name);
    const { acknowledged, sold_out: soldOut, final, violations } = result;
    if (strategy.claim === 'loses') {
      t.ok(acknowledged > 100, `${strategy.name} sold ${acknowledged}`);
      t.ok(violations.includes(`sold ${acknowledged} of 100`));
      continue;
    }
    t.strictSame(violations, [], strategy.name);
    t.equal(final, acknowledged, strategy.name);
    if (strategy.claim === 'exact') t.strictSame([acknowledged, soldOut], [100, 100], strategy.name);
    else t.ok(acknowledged <= 100, strategy.name);
  }
});

t.test('a false claim to be exact is found: a ticket sold twice, or a buyer refused too early', async (t) => {
  const lossyStrategy: Strategy = { ...unsafe, claim: 'exact' };
  t.match(await runUntilItLoses(orm, arena, { ...sale, strategy: lossyStrategy }), {
    holds: false,
    verdict: 'loses',
  });
  let asked = 0;
  const refusingStrategy: Strategy = {
    ...unsafe,
    name: 'timid',
    claim: 'exact',
    async increment(em, pk) {
      asked += 1;
      if (asked === 1) throw new SoldOutError('to be on the safe side');
      return (strategies.find(({ name }) => name === 'atomic') ?? lossyStrategy).increment(em, pk);
    },
  };
  const result = await runTrial(orm, arena, { ...sale, strategy: refusingStrategy });
  t.match(result, { holds: false, lost: 0 });
  t.ok(result.violations.includes('refused 1 before it was sold out'));
});

t.test('POST /races takes an experiment, and refuses a strategy that cannot take part', async (t) => {
  const app = await testApp(t);
  const race = async (payload: object) =>
    (await app.inject({ method: 'POST', url: '/races', payload })).json();
  t.match(await race({ experiment: 'tickets', strategies: ['atomic'], increments: 5 }), [
    { experiment: 'tickets', strategy: 'atomic', stock: 5, final: 5, sold_out: 5, holds: true },
  ]);
  t.match(await race({ strategies: ['atomic'], increments: 5 }), [
    { experiment: 'likes', stock: null, sold_out: 0, final: 10 },
  ]);
  t.match(await race({ experiment: 'tickets', strategies: ['ledger'] }), {
    status: 400,
    detail: /"ledger" cannot race for tickets; allowed: unsafe, /,
  });
  t.match(await race({ experiment: 'seats' }), { status: 400, detail: /must be one of likes, tickets/ });
  const stream = await app.inject('/races/stream?experiment=tickets&strategies=atomic&increments=5');
  t.match(stream.body, /event: start\ndata: .*"expected":5/);
});
