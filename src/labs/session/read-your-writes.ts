import type { Experiment } from '../experiment.ts';
import { codeOf } from '../../errors/caught.ts';
import { POSTS } from '../bench/post-table.ts';
import { type Scratch, withScratch } from '../bench/scratch.ts';
import { caughtUp, openRouted, position, type Routed } from './reader.ts';

/** Only one experiment at a time may pause the standby; otherwise one would end the pause of another. */
const ALONE = `select pg_advisory_lock(hashtext('safe-counters: a standby that lags'))`;

/** Pauses the replay of the standby, if the role may do so. */
async function pause({ standby, reader }: Routed): Promise<boolean> {
  if (!standby) return false;
  try {
    await reader.query('select pg_wal_replay_pause()');
    return true;
  } catch (error) {
    // 42501: insufficient privilege. The standby then has only its natural lag.
    if (codeOf(error) !== '42501') throw error;
    return false;
  }
}

async function writeAndRead(scratch: Scratch, routed: Routed) {
  const { orm, Post } = routed;
  const { timeline } = scratch;
  const read = async (options: { connectionType?: 'write' } = {}) =>
    (await orm.em.fork().findOneOrFail(Post, 1, options)).like;
  const paused = await pause(routed);
  try {
    const em = orm.em.fork();
    (await em.findOneOrFail(Post, 1)).like = 100;
    await em.flush();
    const lsn = await position(scratch);
    const atOnce = await read();
    const refreshed = (await em.findOneOrFail(Post, 1, { refresh: true })).like;
    const fromWriter = await read({ connectionType: 'write' });
    if (paused) await routed.reader.query('select pg_wal_replay_resume()');
    await caughtUp(scratch, routed, lsn);
    timeline.note('reader', `has replayed ${lsn}`);
    return { paused, at_once: atOnce, refreshed, from_the_writer: fromWriter, caught_up: await read() };
  } finally {
    if (paused) await routed.reader.query('select pg_wal_replay_resume()');
  }
}

export const readYourWrites: Experiment = {
  name: 'read-your-writes',
  claim:
    'A read from a standby right after a write can return the old value, even with refresh: true; a read from the writer, or after the standby has replayed the log position of the write, cannot.',
  cure: `
await em.flush();
const options = { connectionType: 'write' } as const;
const post = await em.fork().findOneOrFail(Post, pk, options);`,
  run: (context) =>
    withScratch(context, POSTS, async (scratch) => {
      await scratch.outside.query(ALONE);
      const routed = await openRouted(scratch);
      const seen = await writeAndRead(scratch, routed);
      const lagged = !seen.paused || (seen.at_once === 0 && seen.refreshed === 0);
      const holds = lagged && seen.from_the_writer === 100 && seen.caught_up === 100;
      const figures = { standby: routed.standby, ...seen };
      return { holds, evidence: { timeline: scratch.timeline.entries, figures } };
    }),
};
