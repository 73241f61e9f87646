import { pick, type Random, shuffled } from '../world/random.ts';
import { type Fault, MissedError } from './fault.ts';
import { keyFaults } from './keys.ts';
import { lockFaults } from './locks.ts';
import { networkFaults } from './network.ts';
import { pauseFaults } from './pause.ts';
import { processFaults } from './process.ts';
import { settlementFaults } from './settlement.ts';

const single = [
  ...processFaults,
  ...networkFaults,
  ...settlementFaults,
  ...pauseFaults,
  ...lockFaults,
  ...keyFaults,
];

/** A fault for each replica and one of the database, at random and at the same time. */
const several: Fault = {
  name: 'several at once',
  scope: 'server',
  async make(world, replica) {
    const { replicas, random } = world;
    const local = shuffled(
      random,
      single.filter(({ scope }) => scope === 'replica'),
    );
    const shared = pick(
      random,
      single.filter(({ scope }) => scope === 'server'),
    );
    const made = replicas.map((one, i) => (local[i % local.length] as Fault).make(world, one));
    const ended = await Promise.allSettled([...made, shared.make(world, replica)]);
    const failed = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    const broken = failed.find((error) => !(error instanceof MissedError));
    if (broken) throw broken;
    // One may prevent another from happening; less than two would not be several.
    if (ended.length - failed.length < 2) throw new MissedError('they prevented each other');
  },
};

export const faults: readonly Fault[] = [...single, several];

/** @throws {RangeError} when there is none of that name */
export function faultNamed(name: string): Fault {
  const fault = faults.find((one) => one.name === name);
  if (!fault) throw new RangeError(`no fault ${JSON.stringify(name)}`);
  return fault;
}

/** So many faults in an order that depends on the seed alone, each as often as the others. */
export function schedule(random: Random, count: number): Fault[] {
  const order: Fault[] = [];
  while (order.length < count) order.push(...shuffled(random, faults));
  return order.slice(0, count);
}
