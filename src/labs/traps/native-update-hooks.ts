import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

async function update(scratch: Scratch, more: { modifiedAt?: Date }) {
  const Post = newPostClass();
  const em = scratch.orm([Post]).em.fork();
  await em.nativeUpdate(Post, 1, { like: 1, ...more });
  const { version, modifiedAt } = await em.fork().findOneOrFail(Post, 1);
  return { version, modified_at: modifiedAt.toISOString() };
}

export const nativeUpdateHooks = experimentOf({
  name: 'native-update-hooks',
  claim:
    'A nativeUpdate raises the version but does not run onUpdate: the time of the last change stays the same.',
  expectation: 'onUpdate runs for every update that MikroORM sends.',
  guard: 'The time is passed to nativeUpdate explicitly.',
  cure: 'await em.nativeUpdate(Post, pk, { like: like + 1, modifiedAt: new Date() });',
  async fallInto(scratch) {
    const figures = await update(scratch, {});
    return { seen: figures.version === 2 && figures.modified_at.startsWith('2026-01-01'), figures };
  },
  async avoid(scratch) {
    const figures = await update(scratch, { modifiedAt: new Date() });
    return { seen: figures.version === 2 && !figures.modified_at.startsWith('2026-01-01'), figures };
  },
});
