import { Keyv } from 'keyv';
import type { Experiment } from '../bench/experiment.ts';
import { likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';

export const sharedReference: Experiment = {
  name: 'shared-reference',
  claim:
    'An in-process cache that keeps references gives the same managed entity to all requests: an unsaved change of one request is seen by the others, and saved by the next flush of the EntityManager that loaded it.',
  cure: `
// Keyv keeps serialized text by default: every caller gets a copy.
const cache = new Keyv({ store: new Map() });`,
  setup: POSTS,
  async run(scratch) {
    const Post = newPostClass();
    const { em } = scratch.orm([Post]);
    const run = async (cache: Keyv) => {
      await scratch.outside.query('update posts set "like" = 0, version = 1');
      const first = em.fork();
      const post = await first.findOneOrFail(Post, 1);
      await cache.set('post', post);
      // Another request changes the entity for its own use, without saving it.
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
    return { holds, figures };
  },
};
