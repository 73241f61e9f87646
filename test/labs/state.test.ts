import KeyvRedis from '@keyv/redis';
import t from 'tap';
import { runExperiment } from '../../src/labs/bench/experiment.ts';
import { roundTrip } from '../../src/labs/state/round-trip.ts';
import { state } from '../../src/labs/state/index.ts';
import { hasRedis, startRedis } from '../redis.ts';
import { holdAndLeaveNothing, labContext } from './lab-helper.ts';

t.test('state, with a cache in the process: every claim holds', async (t) => {
  await holdAndLeaveNothing(t, state.experiments, await labContext(t));
});

const skip = hasRedis() ? false : 'redis-server is not installed';

t.test('state, with Redis: every claim holds, and no key is left', { skip }, async (t) => {
  const url = await startRedis(t);
  const context = await labContext(t, { REDIS_URL: url });
  await holdAndLeaveNothing(t, state.experiments, context);
  t.match((await runExperiment(roundTrip, context)).figures, { cache: 'redis' });
  const client = await new KeyvRedis(url).getClient();
  t.equal('dbSize' in client ? await client.dbSize() : undefined, 0);
  await client.close();
});

t.test('an unreachable Redis is an error, not a hang', async (t) => {
  const context = await labContext(t, { REDIS_URL: 'redis://127.0.0.1:1' });
  await t.rejects(runExperiment(roundTrip, context), /ECONNREFUSED|connect/i);
});
