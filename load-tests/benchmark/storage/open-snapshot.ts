import { Client } from 'pg';

/** What increments of one counter cost once so many commits have been made since a snapshot was opened. */
export interface SnapshotCost {
  /** Commits since the snapshot was opened; `before`: there is none yet; `after`: it is closed. */
  commits: number | 'before' | 'after';
  perSecond: number;
  /** Pages that finding the counter's row visits, those of the index included. */
  pages: number;
  /** Of the tables of counters and of writers, with their indexes. */
  bytes: number;
}

/** Commits between two figures, and how many figures there are while the snapshot is open. */
const COMMITS = 4000;
const FIGURES = 5;

/**
 * Counts while a snapshot is open, as pg_dump keeps one until it ends. No version of a row that was replaced since can be
 * removed, and each update has to step over those of its own row.
 *
 * @param observer a connection that may ask about the tables
 * @param count makes so many increments of the counter `hot`, each with a commit of its own
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
    return { commits, perSecond: COMMITS / seconds, ...(await traces(observer)) };
  };
  const costs = [await cost('before')];
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    // The first statement takes the snapshot.
    await client.query('select count(*) from counters');
    for (let figure = 1; figure <= FIGURES; figure += 1) costs.push(await cost(figure * COMMITS));
  } finally {
    await client.end();
  }
  await observer.query('vacuum counters, counter_writers');
  return [...costs, await cost('after')];
}

interface Explained {
  'QUERY PLAN': { Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number } }[];
}

async function traces(observer: Client): Promise<Pick<SnapshotCost, 'pages' | 'bytes'>> {
  const found = await observer.query<Explained>(
    `explain (analyze, buffers, format json) select value from counters where name = 'hot'`,
  );
  const { rows } = await observer.query<{ bytes: string }>(
    `select pg_total_relation_size('counters') + pg_total_relation_size('counter_writers') as bytes`,
  );
  const plan = found.rows[0]?.['QUERY PLAN'][0]?.Plan;
  return {
    pages: (plan?.['Shared Hit Blocks'] ?? 0) + (plan?.['Shared Read Blocks'] ?? 0),
    bytes: Number(rows[0]?.bytes),
  };
}

/** Rows of a table: when, increments a second, pages, kB. */
export const snapshotRows = (costs: readonly SnapshotCost[]): (string | number)[][] =>
  costs.map(({ commits, perSecond, pages, bytes }) => [
    typeof commits === 'number' ? `${commits} commits later` : commits,
    perSecond,
    pages,
    bytes / 1000,
  ]);
