import { Keyv } from 'keyv';
import type { Experiment } from '../experiment.ts';
import { likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { withScratch } from '../bench/scratch.ts';

export const sharedReference: Experiment = {
  name: 'shared-reference',
  claim:
    'A cache in the process that keeps references hands one managed entity to all requests: what one of them changes without saving, the others see, and the flush of the first one saves.',
  cure: `
// Keyv keeps text unless told otherwise: everybody gets a copy.
const cache = new Keyv({ store: new Map() });`,
  run: (context) =>
    withScratch(context, POSTS, async (scratch) => {
      const Post = newPostClass();
      const { em } = scratch.orm([Post]);
      const run = async (cache: Keyv) => {
        await scratch.outside.query('update posts set "like" = 0, version = 1');
        const first = em.fork();
        const post = await first.findOneOrFail(Post, 1);
        await cache.set('post', post);
        // Another request changes what it got, for itself, and saves nothing.
        const got = await cache.get<InstanceType<typeof Post>>('post');
        if (got) got.like = 100;
        const seenByOthers = (await cache.get<InstanceType<typeof Post>>('post'))?.like;
        await first.flush();
        return {
          same_object: got === post,
          seen_by_others: seenByOthers,
          saved: (await likesOf(scratch.outside))[0],
        };
      };
      scratch.timeline.part = 'references';
      const references = new Keyv();
      references.serialize = undefined;
      references.deserialize = undefined;
      const figures = { references: await run(references), text: {} as Awaited<ReturnType<typeof run>> };
      scratch.timeline.part = 'text';
      figures.text = await run(new Keyv());
      const { references: shared, text } = figures;
      const holds =
        shared.same_object &&
        shared.seen_by_others === 100 &&
        shared.saved === 100 &&
        !text.same_object &&
        text.seen_by_others === 0 &&
        text.saved === 0;
      return { holds, evidence: { timeline: scratch.timeline.entries, figures } };
    }),
};
