import { raw } from '@mikro-orm/core';
import { messageOf } from '../../errors/caught.ts';
import { likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import { experimentOf } from './trap.ts';

export const rawFragment = experimentOf({
  name: 'raw-fragment',
  claim:
    'Setting a property of a versioned entity to raw SQL writes it, but leaves the fragment in the entity instead of the new value: it can be neither read nor serialized as JSON.',
  expectation: 'After the flush, the property has the value that the database computed.',
  guard: 'Computed updates go through the query builder with returning, not through an entity.',
  cure: `
const { row } = await em
  .createQueryBuilder(Post)
  .update({ like: raw('"like" + 1') })
  .where({ pk })
  .returning('like')
  .execute();
return row?.like;`,
  async fallInto(scratch) {
    const Post = newPostClass();
    const em = scratch.orm([Post]).em.fork();
    const post = await em.findOneOrFail(Post, 1);
    post.like = raw<number>('"like" + 1');
    await em.flush();
    let json: string;
    try {
      json = JSON.stringify(post);
    } catch (error) {
      json = messageOf(error);
    }
    const figures = { type: typeof post.like, json, like: (await likesOf(scratch.outside))[0] };
    return { seen: typeof post.like !== 'number' && figures.like === 1, figures };
  },
  async avoid(scratch) {
    const Post = newPostClass();
    const em = scratch.orm([Post]).em.fork();
    const { row } = await em
      .createQueryBuilder(Post)
      .update({ like: raw<number>('"like" + 1') })
      .where({ pk: 1 })
      .returning('*')
      .execute();
    const [like] = await likesOf(scratch.outside);
    return { seen: row?.like === 1 && like === 1, figures: { row, like } };
  },
});
