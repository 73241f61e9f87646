/** The defects of the service in the positive controls. */
export const defects = [
  'answers before the commit',
  'answers a transaction before its commit',
  'treats every lost commit as not applied',
  'treats every lost commit as applied',
  'does not check batch numbers',
  'does not check the numbers of transactions',
  'guesses the outcome after its writer was removed',
  'decides without locks',
  'ignores keys',
  'counts known keys again',
  'refuses the whole batch on a lock',
  'skips the last counter of a bulk',
  'reads from a cache',
] as const;

export type Defect = (typeof defects)[number];

export const isDefect = (name: string): name is Defect => (defects as readonly string[]).includes(name);
