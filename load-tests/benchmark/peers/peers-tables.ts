import { table, thousands } from '../../../src/command-line/table.ts';
import type { PeersResult } from './peers-benchmark.ts';
import { over, speed } from './peers-ratios.ts';

/** Increments per second of each peer: one table for each kind of load. */
export function peersTable({ rounds, redisVersion }: PeersResult): string {
  const [turns = []] = rounds;
  const tables = [...Map.groupBy(turns, ({ load }) => load)].map(([load, ofLoad]) => {
    const callers = [...new Set(ofLoad.map((turn) => turn.callers))];
    const rows = [...new Set(ofLoad.map(({ peer }) => peer))].map((peer) => [
      peer,
      ...callers.map((count) => {
        const { median, min, max } = over(rounds, (all) => speed(all, load, peer, count));
        return `${thousands(median)} (${thousands(min)} to ${thousands(max)})`;
      }),
    ]);
    return table([load, ...callers.map((count) => `c = ${count}`)], rows);
  });
  return [`increments a second, each durable when it is answered; Redis ${redisVersion}`, ...tables].join(
    '\n\n',
  );
}
