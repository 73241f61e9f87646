import { progress } from '../../../src/command-line/progress.ts';
import { HttpClient } from '../callers/http-client.ts';
import type { Postgres } from '../world/postgres.ts';
import { seeded } from '../world/random.ts';
import { Replica } from '../world/replica.ts';
import { BUYERS, sell, TICKETS, violationsOf } from './round.ts';

export interface RoundsOptions {
  rounds: number;
  replicas: number;
  seed: number;
  signal: AbortSignal;
}

/**
 * Sells the tickets so many times, on replicas of the service that are killed meanwhile.
 *
 * @returns the rules that were broken, each with its round
 */
export async function runRounds(
  postgres: Postgres,
  { rounds, replicas: count, seed, signal }: RoundsOptions,
): Promise<string[]> {
  const replicas = Array.from({ length: count }, () => new Replica(postgres, 'src/server.ts', {}, signal));
  const client = new HttpClient();
  const shop = { replicas, client, random: seeded(seed), signal };
  const violations: string[] = [];
  try {
    await Promise.all(replicas.map((replica) => replica.start(postgres)));
    for (let round = 1; round <= rounds; round += 1) {
      progress(`${BUYERS} buyers, ${TICKETS} tickets`, round, rounds);
      const broken = violationsOf(await sell(postgres, shop, `tickets-${round}`));
      violations.push(...broken.map((text) => `round ${round}: ${text}`));
    }
    return violations;
  } finally {
    client.close();
    await Promise.all(replicas.map((replica) => replica.end('SIGKILL')));
    await Promise.all(replicas.map(({ proxy }) => proxy.close()));
  }
}
