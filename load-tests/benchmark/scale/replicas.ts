import { join } from 'node:path';
import { type OwnService, startOwnService } from '../../shared/own-service.ts';
import type { Seen } from '../http/load.ts';
import { LoadGenerator } from '../http/load-generator.ts';
import { counterNames, type WriterLoad } from './writer-load.ts';

/** One process that writes counters; several share a database. */
export interface Replica {
  /** Loads it. @returns the callers' figures, and its processor time, in seconds */
  offer: (load: WriterLoad) => Promise<{ seen: Seen; cpuS: number }>;
  stop: () => Promise<void>;
}

/** Starts the counters' writer, without HTTP, in its own process, with its callers in the same process. */
export function startWriter(databaseUrl: string): Replica {
  const process = new LoadGenerator<WriterLoad>(join(import.meta.dirname, 'writer-process.ts'), [
    databaseUrl,
  ]);
  return {
    offer: async (load) => {
      const seen = await process.offer(load);
      const answers = Object.values(seen.answers).reduce((sum, count) => sum + count, 0);
      return { seen, cpuS: (seen.cpuUs * answers) / 1e6 };
    },
    stop: () => process.stop(),
  };
}

/** Starts the service as in production, with its own load generator. */
export async function startService(databaseUrl: string): Promise<Replica> {
  const service = await startOwnService({ DATABASE_URL: databaseUrl, DEMOS: 'false' });
  const generator = new LoadGenerator();
  return {
    offer: async ({ indexes, keyedShare, callers, ms }) => {
      const before = await cpuSecondsOf(service);
      const seen = await generator.offer({
        url: service.url,
        paths: counterNames(indexes).map((name) => `/counters/${name}/increments`),
        keyed: keyedShare > 0,
        connections: callers,
        ms,
      });
      return { seen, cpuS: (await cpuSecondsOf(service)) - before };
    },
    stop: async () => {
      await generator.stop();
      await service.stop();
    },
  };
}

async function cpuSecondsOf({ url }: OwnService): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (.+)$/m.exec(metrics)?.[1]);
}
