import type { Experiment } from '../bench/experiment.ts';
import { blocked } from '../bench/observer.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { Requests } from './requests.ts';

/** Short, so that the experiment is short; increasing, so that each of them takes effect. */
const limits = {
  POOL_MAX: 3,
  POOL_ACQUIRE_TIMEOUT_MS: 500,
  LOCK_TIMEOUT_MS: 1000,
  STATEMENT_TIMEOUT_MS: 1200,
  IDLE_IN_TRANSACTION_TIMEOUT_MS: 1500,
};

export const timeouts: Experiment = {
  name: 'timeouts',
  claim:
    'With four timeouts, each request of the frozen service is refused in time, the server ends the abandoned transaction, and its connection returns to the pool.',
  cure: `
-- Behind a pooler that does not forward them, set them on the role.
alter role app set lock_timeout = '5s';
alter role app set statement_timeout = '10s';
alter role app set idle_in_transaction_session_timeout = '10s';`,
  setup: POSTS,
  async run(scratch) {
    const pool = scratch.pool({ limits });
    const requests = new Requests(scratch, pool, newPostClass());
    await requests.connect();
    const event = Promise.withResolvers<void>();
    const abandoned = await requests.abandon('abandoned', event.promise);
    const waiting = [requests.like('like 1'), requests.like('like 2')];
    let answered = 0;
    for (const one of waiting) void one.then(() => (answered += 1));
    await scratch.observer.until((backends) => blocked(backends).length === 2 || answered > 0);
    const unrelated = await requests.read('unrelated', 2);
    const likes = await Promise.all(waiting);
    const slow = await requests.execute('slow', 'select pg_sleep(20)');
    await scratch.observer.until((all) => all.every(({ state }) => state !== 'idle in transaction'));
    scratch.timeline.note('abandoned', 'the event that it waited for occurs, too late');
    event.resolve();
    const tooLate = await abandoned.end;
    const after = await Promise.all([1, 2, 3].map((n) => requests.like(`like ${n}, again`)));
    await scratch.observer.until(() => requests.pool.free === requests.pool.connections);
    const figures = {
      limits,
      requests: [...likes, unrelated, slow, tooLate],
      afterwards: after,
      pool: requests.pool,
    };
    const holds =
      // The lock timeout applies to each lock separately, and a writer can wait twice for one row: in its queue, and
      // then for the lock holder. So the statement timeout may end one of the two requests.
      likes.some(({ end }) => end === '55P03') &&
      likes.every(({ failure }) => failure === 'busy') &&
      unrelated.failure === 'busy' &&
      unrelated.took_ms < limits.LOCK_TIMEOUT_MS &&
      slow.end === '57014' &&
      tooLate.end !== 'done' &&
      after.every(({ end }) => end === 'done') &&
      figures.pool.waiting === 0;
    return { holds, figures };
  },
};
