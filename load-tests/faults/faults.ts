import { type Fault, MissedError } from './fault.ts';
import { networkFaults } from './network-faults.ts';
import { processFaults } from './process-faults.ts';
import { pick, type Random, shuffled } from './random.ts';

const single = [...processFaults, ...networkFaults];

/** One to each replica and one to the database, at the same time. */
const several: Fault = {
  name: 'several at once',
  local: false,
  async make(world, replica) {
    const { replicas, random } = world;
    const local = shuffled(
      random,
      single.filter((fault) => fault.local),
    );
    const shared = pick(
      random,
      single.filter((fault) => !fault.local),
    );
    const all = replicas.map((one, i) => local[i % local.length]?.make(world, one));
    const ended = await Promise.allSettled([...all, shared.make(world, replica)]);
    const reasons = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    const defect = reasons.find((reason) => !(reason instanceof MissedError));
    if (defect) throw defect;
    // One may prevent another from happening; less than two would not be several.
    if (ended.length - reasons.length < 2) throw new MissedError('they prevented each other');
  },
};

export const faults: readonly Fault[] = [...single, several];

/** So many faults in an order that depends on the seed alone, each as often as the others. */
export function schedule(random: Random, count: number): Fault[] {
  const order: Fault[] = [];
  while (order.length < count) order.push(...shuffled(random, faults));
  return order.slice(0, count);
}
