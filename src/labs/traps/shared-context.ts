import type { Options } from '@mikro-orm/postgresql';
import { newPostClass } from '../bench/post-table.ts';
import { probe } from '../bench/probe.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Runs a query on one MikroORM instance inside a transaction of another; returns the name of the pool that it used. */
async function servedBy(scratch: Scratch, options: [Options, Options]): Promise<string> {
  const [one, other] = options.map((more, i) =>
    scratch.orm([newPostClass()], { name: `orm ${i + 1}` }, more),
  );
  if (!one || !other) return '';
  const backends = await one.em.fork().transactional(async (tx) => {
    const first = scratch.timeline.entries.length;
    await probe(other.em.fork());
    await probe(tx);
    return scratch.timeline.entries.slice(first).map(({ session }) => session);
  });
  return backends[0] ?? '';
}

export const sharedContext = experimentOf({
  name: 'shared-context',
  claim:
    'Inside a transaction of one MikroORM instance, the EntityManager of another instance in the same process resolves to that of the first, unless their context names differ: its statements go to the wrong database.',
  expectation: 'Each instance goes to its own database.',
  guard: 'A contextName for each instance.',
  cure: `
const orm = new MikroORM({ ...options, contextName: 'likes' });
const audit = new MikroORM({ ...auditOptions, contextName: 'audit' });`,
  async fallInto(scratch) {
    const pools = await servedBy(scratch, [{ contextName: 'default' }, { contextName: 'default' }]);
    return { seen: pools === 'orm 1', figures: { other_instance_uses: pools } };
  },
  async avoid(scratch) {
    const pools = await servedBy(scratch, [{}, {}]);
    return { seen: pools === 'orm 2', figures: { other_instance_uses: pools } };
  },
});
