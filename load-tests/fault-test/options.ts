import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parsed, UsageError, whole } from '../load-test/options.ts';

export interface Options {
  acknowledged: number;
  faults: number;
  replicas: number;
  clients: number;
  seed: number;
  journal: string;
  controls: boolean;
  /** A journal to be checked again, instead of a run. */
  check: string | undefined;
}

export const USAGE = `Usage: npm run fault-test -- [options]
Counts on processes of its own while it kills, stops and cuts off the service, its network and PostgreSQL, and compares
what was acknowledged with what is counted. Exit code 1 if anything is lost, doubled or told wrong.
  --acknowledged N  increments to be acknowledged, 100 to 5000000 (default 1000000)
  --faults N        faults to be made meanwhile, 0 to 10000 (default 200)
  --replicas N      processes of the service, 1 to 16 (default 3)
  --clients N       requests at the same time, 1 to 1000 (default 96)
  --seed N          decides what happens in which order, 0 to 4294967295 (default: another one each time)
  --journal FILE    where to write down what was sent and answered (default load-tests/results/faults.journal)
  --controls        only the service with defects, each of which must be found
  --check FILE      only checks a journal again`;

const names = ['acknowledged', 'faults', 'replicas', 'clients', 'seed', 'journal', 'check'] as const;

/** @throws {UsageError} */
export function readOptions(args: string[]): Options {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const values = parsed(
    () => parseArgs({ args, options: { ...options, controls: { type: 'boolean' as const } } }).values,
  ) as Partial<Record<(typeof names)[number], string>> & { controls?: boolean };
  const number = (name: (typeof names)[number], fallback: number, min: number, max: number): number =>
    whole(name, values[name] ?? String(fallback), min, max);
  for (const name of ['journal', 'check'] as const) {
    if (values[name] === '') throw new UsageError(`--${name} is ""; allowed: the name of a file`);
  }
  return {
    acknowledged: number('acknowledged', 1_000_000, 100, 5_000_000),
    faults: number('faults', 200, 0, 10_000),
    replicas: number('replicas', 3, 1, 16),
    clients: number('clients', 96, 1, 1000),
    seed: number('seed', Math.floor(Math.random() * 2 ** 32), 0, 2 ** 32 - 1),
    journal: resolve(values.journal ?? 'load-tests/results/faults.journal'),
    controls: values.controls ?? false,
    check: values.check && resolve(values.check),
  };
}
