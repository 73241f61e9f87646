import { Client } from 'pg';
import { SCHEMA } from '../../shared/own-counters.ts';

/** The cost of increments of one counter, after a number of commits since a snapshot was opened. */
export interface SnapshotCost {
  /** The number of commits since the snapshot was opened; `before` and `after`: no snapshot is open. */
  commits: number | 'before' | 'after';
  perSecond: number;
  /** The number of pages, including index pages, that are read to find the counter's row. */
  pages: number;
  /** The size of the tables of counters and writers, with their indexes. */
  bytes: number;
}

/** The number of commits per measurement, and of measurements while the snapshot is open. */
const COMMITS = 4000;
const MEASUREMENTS = 5;

/**
 * Measures increments while a snapshot is open, as during pg_dump. Row versions that are replaced in the meantime cannot be
 * removed, and each update has to step over those of its row.
 *
 * @param observer a connection for queries about the tables
 * @param count makes this many increments of the counter `hot`, each with its own commit
 */
export async function openSnapshotCosts(
  observer: Client,
  databaseUrl: string,
  count: (increments: number) => Promise<void>,
): Promise<SnapshotCost[]> {
  const cost = async (commits: SnapshotCost['commits']): Promise<SnapshotCost> => {
    const startedAt = performance.now();
    await count(COMMITS);
    const seconds = (performance.now() - startedAt) / 1000;
    return { commits, perSecond: COMMITS / seconds, ...(await footprint(observer)) };
  };
  const costs = [await cost('before')];
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    // The first statement takes the snapshot.
    await client.query(`select count(*) from ${SCHEMA}.counters`);
    for (let figure = 1; figure <= MEASUREMENTS; figure += 1) costs.push(await cost(figure * COMMITS));
  } finally {
    await client.end();
  }
  await observer.query(`vacuum ${SCHEMA}.counters, ${SCHEMA}.writers`);
  return [...costs, await cost('after')];
}

interface Explained {
  'QUERY PLAN': { Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number } }[];
}

async function footprint(observer: Client): Promise<Pick<SnapshotCost, 'pages' | 'bytes'>> {
  const found = await observer.query<Explained>(
    `explain (analyze, buffers, format json) select value from ${SCHEMA}.counters where period = '' and name = 'hot'`,
  );
  const { rows } = await observer.query<{ bytes: string }>(
    `select pg_total_relation_size('${SCHEMA}.counters') + pg_total_relation_size('${SCHEMA}.writers') as bytes`,
  );
  const plan = found.rows[0]?.['QUERY PLAN'][0]?.Plan;
  return {
    pages: (plan?.['Shared Hit Blocks'] ?? 0) + (plan?.['Shared Read Blocks'] ?? 0),
    bytes: Number(rows[0]?.bytes),
  };
}

/** The rows of a table: commits, increments per second, pages, kB. */
export const snapshotRows = (costs: readonly SnapshotCost[]): (string | number)[][] =>
  costs.map(({ commits, perSecond, pages, bytes }) => [
    typeof commits === 'number' ? `${commits} commits later` : commits,
    perSecond,
    pages,
    bytes / 1000,
  ]);
