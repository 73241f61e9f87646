/** What can be wrong with the service of a positive control. */
export const defects = [
  'answer before commit',
  'fence off',
  'numbers not checked',
  'guess when forgotten',
  'keys off',
  'keys ignored',
  'neighbours refused',
  'bulk in part',
  'stale reads',
] as const;

export type Defect = (typeof defects)[number];

export const isDefect = (name: string): name is Defect => (defects as readonly string[]).includes(name);
