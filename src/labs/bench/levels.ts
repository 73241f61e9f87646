/** PostgreSQL's isolation levels, weakest first. */
export const levels = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const;

export type Level = (typeof levels)[number];

/** A value for each level, in their order. */
export const byLevel = <T>(value: (level: Level) => T): Record<Level, T> => ({
  'read uncommitted': value('read uncommitted'),
  'read committed': value('read committed'),
  'repeatable read': value('repeatable read'),
  serializable: value('serializable'),
});
