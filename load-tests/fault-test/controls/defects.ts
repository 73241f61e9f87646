/** The defects of the service in the positive controls. */
export const defects = [
  'answers before the commit',
  'treats every lost commit as not applied',
  'does not check batch numbers',
  'guesses the outcome after its writer was removed',
  'ignores keys',
  'counts known keys again',
  'refuses the whole batch on a lock',
  'skips the last counter of a bulk',
  'reads from a cache',
] as const;

export type Defect = (typeof defects)[number];

export const isDefect = (name: string): name is Defect => (defects as readonly string[]).includes(name);
