import { RequestContext } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';
import { meetingOf } from '../bench/barriers.ts';
import { endingOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { different } from '../bench/probe.ts';

/** The EntityManager that code anywhere below a request resolves to. */
const managerOf = (em: EntityManager): number => em.id;

export const requestContext: Experiment = {
  name: 'request-context',
  claim:
    'With RequestContext, the shared EntityManager resolves to a separate one for each request, at any call depth. Requests do not see each other’s entities, and outside a request the shared EntityManager is refused.',
  cure: `
app.addHook('onRequest', (_request, _reply, done) =>
  RequestContext.create(orm.em, done),
);`,
  setup: POSTS,
  async run(scratch) {
    const Post = newPostClass();
    const { em } = scratch.orm([Post]);
    const meet = meetingOf(2);
    const request = (name: string, like: number) =>
      RequestContext.create(em, () =>
        scratch.timeline.as(name, async () => {
          const post = await em.findOneOrFail(Post, 1);
          post.like = like;
          await meet();
          const deep = await Promise.resolve().then(() => managerOf(em));
          const again = await em.findOneOrFail(Post, 1);
          return { managers: [managerOf(em), deep], like: again.like, same_entity: again === post };
        }),
      );
    const requests = await Promise.all([request('request 1', 10), request('request 2', 20)]);
    const outside = await endingOf(em.find(Post, {}));
    const holds =
      different(requests.flatMap(({ managers }) => managers)) === 2 &&
      requests.map(({ like }) => like).join() === '10,20' &&
      requests.every((one) => one.same_entity && different(one.managers) === 1) &&
      outside.includes('global EntityManager');
    return { holds, figures: { requests, outside } };
  },
};
