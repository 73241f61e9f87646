import t from 'tap';
import { isConflict } from '../../src/database/failure.ts';
import { Post } from '../../src/likes/post.ts';
import { POSTS, testClient, testOrm } from '../helper.ts';

t.test('of two sessions that flush the same two posts, one is refused, and nothing is lost', async (t) => {
  const { orm, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl);
  await client.query(`insert into ${POSTS} (pk) values (1), (2)`);
  let flushed = 0;
  for (let round = 1; round <= 50; round += 1) {
    const sessions = [orm.em.fork(), orm.em.fork()];
    for (const em of sessions) for (const post of await em.find(Post, [1, 2])) post.like += 1;
    const ends = await Promise.allSettled(sessions.map((em) => em.flush()));
    const refused = ends.filter((end) => end.status === 'rejected');
    if (!refused.every(({ reason }) => isConflict(reason)))
      throw new Error('not a conflict', { cause: refused });
    flushed += ends.length - refused.length;
  }
  const { rows } = await client.query(`select "like" from ${POSTS}`);
  t.strictSame(rows, [{ like: flushed }, { like: flushed }]);
});
