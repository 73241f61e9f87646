import type { Experiment } from '../bench/experiment.ts';
import { blocked } from '../bench/observer.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { Requests } from './requests.ts';

/** Polls of the server without progress after which the system counts as frozen. */
const POLLS = 100;

export const frozen: Experiment = {
  name: 'frozen',
  claim:
    'Without timeouts, one abandoned transaction freezes a service with a pool of three: requests for its row wait for the lock, all others wait for a connection, none fails, and the freeze never ends.',
  cure: `
const pool = new Pool({
  connectionTimeoutMillis: 5_000, // waiting for a connection
  lock_timeout: 5_000, // waiting for a lock
  statement_timeout: 10_000, // running a statement
  idle_in_transaction_session_timeout: 10_000, // holding locks while idle
});`,
  setup: POSTS,
  async run(scratch) {
    const pool = scratch.pool({ limits: { POOL_MAX: 3 } });
    const requests = new Requests(scratch, pool, newPostClass());
    const event = Promise.withResolvers<void>();
    const abandoned = await requests.abandon('abandoned', event.promise);
    const waiting = [requests.like('like 1'), requests.like('like 2')];
    await scratch.observer.untilBlocked(2);
    const unrelated = requests.read('unrelated', 2);
    let answered = 0;
    for (const one of [...waiting, unrelated]) void one.then(() => (answered += 1));
    let backends = await scratch.observer.poll();
    for (let i = 0; i < POLLS; i += 1) backends = await scratch.observer.poll();
    const seen = {
      pool: requests.pool,
      waiting_for_a_lock: blocked(backends).length,
      idle_in_transaction: backends.filter(({ state }) => state === 'idle in transaction').length,
      answered,
    };
    scratch.timeline.note('abandoned', 'the event that it waited for occurs');
    event.resolve();
    const ends = await Promise.all([abandoned.end, ...waiting, unrelated]);
    const holds =
      seen.pool.free === 0 &&
      seen.pool.waiting === 1 &&
      seen.waiting_for_a_lock === 2 &&
      seen.idle_in_transaction === 1 &&
      seen.answered === 0 &&
      ends.every(({ end }) => end === 'done');
    return { holds, figures: { frozen: seen, afterwards: ends } };
  },
};
