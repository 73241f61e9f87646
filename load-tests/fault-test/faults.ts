import { type Fault, MissedError } from './fault.ts';
import { networkFaults } from './network-faults.ts';
import { processFaults } from './process-faults.ts';
import type { Replica } from './replica.ts';
import { pick, type Random, shuffled } from './random.ts';

const single = [...processFaults, ...networkFaults];

/** A local fault for each replica and one of the database, at random and at the same time. */
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
    const all = replicas.map((one, i) => (local[i % local.length] as Fault).make(world, one));
    const missed = await atOnce([...all, shared.make(world, replica)]);
    // One may prevent another from happening; less than two would not be several.
    if (all.length + 1 - missed.length < 2) throw new MissedError('they prevented each other');
  },
};

/** These local faults, one for each replica, at the same time; none may be missed. */
export function together(names: readonly string[]): Fault {
  const all = names.map(faultNamed);
  return {
    name: names.join(' + '),
    local: false,
    async make(world) {
      const [missed] = await atOnce(
        all.map((fault, i) => fault.make(world, world.replicas[i % world.replicas.length] as Replica)),
      );
      if (missed) throw missed;
    },
  };
}

/** @throws whatever went wrong but those that could not be made. @returns why these could not */
async function atOnce(made: readonly Promise<void>[]): Promise<MissedError[]> {
  const ended = await Promise.allSettled(made);
  const reasons = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
  return reasons.map((reason) => {
    if (reason instanceof MissedError) return reason;
    throw reason;
  });
}

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
