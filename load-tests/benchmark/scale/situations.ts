/** The database that replicas use, and the way to it. */
export type Way = 'alone' | 'pgbouncer' | 'replicated';

/** One load on one arrangement of processes. */
export interface Situation {
  name: string;
  /** Whether the load goes to writer processes without HTTP, or over HTTP to services. */
  over: 'writers' | 'HTTP';
  way: Way;
  replicas: number;
  counters: number;
  /** Whether each counter is incremented through one replica only, as behind a proxy that hashes the name. */
  hashed: boolean;
  keyedShare: number;
  /** The number of callers of all replicas together, distributed evenly. */
  callers: number;
  /** The round-trip time to the standby, in milliseconds. */
  roundTripMs: number;
  /** The length of a turn, in slices: slow commits need longer turns. */
  slices: number;
}

/** Situations that differ in one parameter. They take consecutive turns, and are compared with the first one. */
export interface Group {
  title: string;
  situations: Situation[];
}

const usual: Situation = {
  name: '',
  over: 'writers',
  way: 'alone',
  replicas: 1,
  counters: 1,
  hashed: false,
  keyedShare: 0,
  callers: 128,
  roundTripMs: 0,
  slices: 1,
};

const group = (title: string, ...situations: Partial<Situation>[]): Group => ({
  title,
  situations: situations.map((one) => ({ ...usual, ...one })),
});

/** The number of callers of one, two and three replicas: constant, so that only the number of replicas changes. */
const SHARED_CALLERS = 384;

function replicas(title: string, over: Situation['over'], counters: number): Group {
  // Over HTTP, answers are slower, so that one slice would contain few of them.
  const load = { over, counters, callers: SHARED_CALLERS, slices: over === 'HTTP' ? 2 : 1 };
  return group(
    `${title}, ${SHARED_CALLERS} callers`,
    { ...load, name: '1 replica' },
    { ...load, name: '2 replicas', replicas: 2 },
    { ...load, name: '3 replicas', replicas: 3 },
    ...(counters > 1 && over === 'writers'
      ? [{ ...load, name: '3 replicas, by name', replicas: 3, hashed: true }]
      : []),
  );
}

const standbyAt = (roundTripMs: number, callers: number): Partial<Situation> => ({
  name: `${roundTripMs} ms, ${callers.toLocaleString('en')} callers`,
  way: 'replicated',
  roundTripMs,
  callers,
  slices: 2,
});

export const groups: readonly Group[] = [
  group(
    'counters, 128 callers',
    { name: '1' },
    { name: '100', counters: 100 },
    { name: '10,000', counters: 10_000 },
  ),
  group(
    'with a key, 128 callers',
    { name: 'none' },
    { name: '10 %', keyedShare: 0.1 },
    { name: 'all', keyedShare: 1 },
  ),
  group('callers', ...[1, 16, 128, 512].map((callers) => ({ name: String(callers), callers }))),
  replicas('writers, one counter', 'writers', 1),
  replicas('writers, 10,000 counters', 'writers', 10_000),
  replicas('over HTTP, one counter', 'HTTP', 1),
  replicas('over HTTP, 10,000 counters', 'HTTP', 10_000),
  group('in between, 128 callers', { name: 'nothing' }, { name: 'PgBouncer', way: 'pgbouncer' }),
  group('commits wait for, 128 callers', { name: 'the disk' }, { name: 'a standby', way: 'replicated' }),
  group(
    'a standby at a distance',
    ...[128, 2000].flatMap((callers) => [0, 10, 50].map((ms) => standbyAt(ms, callers))),
    { ...standbyAt(50, 2000), name: '50 ms, 2,000 callers, 3 replicas', replicas: 3 },
    {
      ...standbyAt(50, 2000),
      name: '50 ms, 2,000 callers, 3 replicas, 10,000 counters',
      replicas: 3,
      counters: 10_000,
    },
    {
      ...standbyAt(50, 2000),
      name: '50 ms, 2,000 callers, 3 replicas, 10,000 counters, by name',
      replicas: 3,
      counters: 10_000,
      hashed: true,
    },
  ),
];
