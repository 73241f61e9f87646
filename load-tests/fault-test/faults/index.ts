import { pick, type Random, shuffled } from '../world/random.ts';
import { type Fault, MissedError } from './fault.ts';
import { keyFaults } from './keys.ts';
import { lockFaults } from './locks.ts';
import { networkFaults } from './network.ts';
import { pauseFaults } from './pause.ts';
import { processFaults } from './process.ts';
import { settlementFaults } from './settlement.ts';
import { transactionFaults } from './transactions.ts';

const single = [
  ...processFaults,
  ...networkFaults,
  ...transactionFaults,
  ...settlementFaults,
  ...pauseFaults,
  ...lockFaults,
  ...keyFaults,
];

/** At the same time: one random fault for each replica, and one for the database server. */
const several: Fault = {
  name: 'several faults at once',
  scope: 'server',
  async inject(world, replica) {
    const { replicas, random } = world;
    const local = shuffled(
      random,
      single.filter(({ scope }) => scope === 'replica'),
    );
    const shared = pick(
      random,
      single.filter(({ scope }) => scope === 'server'),
    );
    const injected = replicas.map((one, i) => (local[i % local.length] as Fault).inject(world, one));
    const ended = await Promise.allSettled([...injected, shared.inject(world, replica)]);
    const failed = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    const unexpected = failed.find((error) => !(error instanceof MissedError));
    if (unexpected) throw unexpected;
    // One fault may prevent another. The combination needs at least two.
    if (ended.length - failed.length < 2) throw new MissedError('fewer than two of the faults took effect');
  },
};

export const faults: readonly Fault[] = [...single, several];

/** @throws {RangeError} if no fault has this name */
export function faultNamed(name: string): Fault {
  const fault = faults.find((one) => one.name === name);
  if (!fault) throw new RangeError(`no fault ${JSON.stringify(name)}`);
  return fault;
}

/** Returns `count` faults in an order that depends only on the seed. All faults are equally frequent. */
export function schedule(random: Random, count: number): Fault[] {
  const order: Fault[] = [];
  while (order.length < count) order.push(...shuffled(random, faults));
  return order.slice(0, count);
}
