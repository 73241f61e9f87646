import type { EntityManager } from '@mikro-orm/postgresql';

/** The backend and the transaction that execute a statement; the blog post printed them as `conn`. */
export interface Probe {
  backend: number;
  transaction: string;
}

export async function probe(em: EntityManager): Promise<Probe> {
  const [seen] = await em.execute<Probe[]>(
    'select pg_backend_pid() as backend, txid_current()::text as transaction',
  );
  return seen ?? { backend: 0, transaction: '' };
}

export const different = (values: readonly unknown[]): number => new Set(values).size;
