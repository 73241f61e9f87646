import type { Experiment } from '../bench/experiment.ts';
import { codeOf, messageOf } from '../../errors/caught.ts';
import { POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { caughtUp, openRouted, position, type Routed } from './reader.ts';

/** Only one experiment at a time may pause the standby; otherwise one would end the pause of another. */
const ALONE = `select pg_advisory_lock(hashtext('safe-counters: a standby that lags'))`;

const RESUME = 'select pg_wal_replay_resume()';

/** insufficient_privilege: the standby then has only its natural lag. */
const isForbidden = (error: unknown) => codeOf(error) === '42501';

/** Pauses the replay of the standby, if the role may do so; it is resumed when the experiment ends, at the latest. */
async function pause(scratch: Scratch, { standby, reader }: Routed): Promise<boolean> {
  if (!standby) return false;
  // Registered before the pause is sent, because the experiment may be aborted before it is answered.
  scratch.atEnd(async () => {
    await reader.query(RESUME).catch((error: unknown) => {
      if (isForbidden(error)) return;
      scratch.context.log.warn(
        `the standby may still be paused (${messageOf(error)}): run "${RESUME}" on it`,
      );
    });
  });
  try {
    await reader.query('select pg_wal_replay_pause()');
    return true;
  } catch (error) {
    if (!isForbidden(error)) throw error;
    return false;
  }
}

async function writeAndRead(scratch: Scratch, routed: Routed) {
  const { orm, Post } = routed;
  const { timeline } = scratch;
  const read = async (options: { connectionType?: 'write' } = {}) =>
    (await orm.em.fork().findOneOrFail(Post, 1, options)).like;
  const paused = await pause(scratch, routed);
  const em = orm.em.fork();
  (await em.findOneOrFail(Post, 1)).like = 100;
  await em.flush();
  const lsn = await position(scratch);
  const atOnce = await read();
  const refreshed = (await em.findOneOrFail(Post, 1, { refresh: true })).like;
  const fromWriter = await read({ connectionType: 'write' });
  if (paused) await routed.reader.query(RESUME);
  await caughtUp(scratch, routed, lsn);
  timeline.note('reader', `has replayed ${lsn}`);
  return { paused, at_once: atOnce, refreshed, from_the_writer: fromWriter, caught_up: await read() };
}

/** What is missing for a read that certainly lags, if anything. */
function lackOf({ standby }: Routed, paused: boolean): string | undefined {
  if (!standby) return 'needs a standby';
  if (!paused) return 'needs a role that may pause the standby, with pg_wal_replay_pause()';
  return undefined;
}

export const readYourWrites: Experiment = {
  name: 'read-your-writes',
  claim:
    'A read from a standby right after a write can return the old value, even with refresh: true; a read from the writer, or after the standby has replayed the log position of the write, cannot.',
  cure: `
await em.flush();
const options = { connectionType: 'write' } as const;
const post = await em.fork().findOneOrFail(Post, pk, options);`,
  setup: POSTS,
  async run(scratch) {
    await scratch.outside.query(ALONE);
    const routed = await openRouted(scratch);
    const seen = await writeAndRead(scratch, routed);
    const lacks = lackOf(routed, seen.paused);
    const current = seen.from_the_writer === 100 && seen.caught_up === 100;
    const lagged = lacks ? null : seen.at_once === 0 && seen.refreshed === 0;
    const holds = current && lagged;
    const figures = { ...(lacks ? { verdict: lacks } : {}), standby: routed.standby, ...seen };
    return { holds, figures };
  },
};
