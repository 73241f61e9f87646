/** What can be wrong with the service of a positive control. */
export const defects = ['answer before commit', 'fence off', 'keys off', 'keys ignored'] as const;

export type Defect = (typeof defects)[number];

export const isDefect = (name: string): name is Defect => (defects as readonly string[]).includes(name);
