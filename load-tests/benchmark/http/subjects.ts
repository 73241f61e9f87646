/** A route to load, and the counters that it increments. */
export interface HttpSubject {
  name: string;
  paths: string[];
  /** The counters that must grow by the number of acknowledged increments; none: the route counts nothing. */
  counters: string[];
  /** Whether each request has its own idempotency key. */
  keyed: boolean;
  /** The JSON body of each request, and its number of increments; undefined: no body, one increment. */
  bulk?: { body: string; increments: number };
}

const subject = (name: string, paths: string[], counters: string[] = [], keyed = false): HttpSubject => ({
  name,
  paths,
  counters,
  keyed,
});

const many = Array.from({ length: 1000 }, (_, i) => `many-${i}`);

const BULK = 1000;

/** A thousand increments in one request, of a thousand counters or of a single one. */
export const bulkSubjects = [many, ['bulk']].map((names): HttpSubject => {
  const increments = Array.from({ length: BULK }, (_, i) => ({ name: names[i % names.length], by: 1 }));
  const what = names.length === 1 ? 'one counter' : '1,000 counters';
  return {
    ...subject(`bulks of 1,000, ${what}`, ['/increments'], names),
    bulk: { body: JSON.stringify(increments), increments: BULK },
  };
});

/** Subjects that are compared take consecutive turns. */
export const httpSubjects = {
  noop: subject('no-op', ['/noop/hot/increments']),
  hot: subject('group commit', ['/counters/hot/increments'], ['hot']),
  many: subject(
    'group commit, 1,000 counters',
    many.map((name) => `/counters/${name}/increments`),
    many,
  ),
  noopKeyed: subject('no-op, a key each', ['/noop/hot/increments'], [], true),
  keyed: subject('group commit, a key each', ['/counters/keyed/increments'], ['keyed'], true),
  update: subject('UPDATE per request', ['/update/updated/increments'], ['updated']),
  lock: subject('SELECT FOR UPDATE per request', ['/lock/locked/increments'], ['locked']),
};
