import { progress } from '../../../src/command-line/progress.ts';
import { groups } from './situations.ts';
import { measureTurn, type ScaleTurn } from './turn.ts';
import { World } from './world.ts';

export interface ScaleOptions {
  rounds: number;
  sliceMs: number;
  signal: AbortSignal;
}

/** No round starts after this time, in milliseconds, so that the benchmark takes less than five minutes. */
const ELAPSED_MS_MAX = 220_000;

/** The number of rounds that are measured in any case. */
const ROUNDS_MIN = 3;

export interface ScaleGroup {
  title: string;
  situations: { name: string; rounds: ScaleTurn[] }[];
}

export interface ScaleResult {
  groups: ScaleGroup[];
  /** The number of stored idempotency keys, and the size of their table with its indexes, in bytes. */
  keys: { count: number; bytes: number };
}

/** Measures how the throughput of one primary changes with counters, keys, callers, replicas and standbys. */
export async function scaleBenchmark({ rounds, sliceMs, signal }: ScaleOptions): Promise<ScaleResult> {
  const world = await World.open();
  try {
    const available = groups.filter(({ situations }) => situations.every((one) => world.has(one)));
    const all = available.flatMap(({ situations }) =>
      situations.map((situation) => ({ situation, turns: [] as ScaleTurn[] })),
    );
    const startedAt = performance.now();
    const late = () => performance.now() - startedAt > ELAPSED_MS_MAX;
    // The first round is a warm-up.
    for (let round = 0; round <= rounds && !(round > ROUNDS_MIN && late()); round += 1) {
      for (const [i, { situation, turns }] of all.entries()) {
        signal.throwIfAborted();
        progress(situation.name, round * all.length + i, (rounds + 1) * all.length);
        const turn = await measureTurn(world, situation, sliceMs);
        if (round > 0) turns.push(turn);
      }
    }
    return {
      groups: available.map(({ title, situations }) => ({
        title,
        situations: situations.map((one) => ({
          name: one.name,
          rounds: all.find(({ situation }) => situation === one)?.turns ?? [],
        })),
      })),
      keys: await world.marksOf({ way: 'alone' }).keys(),
    };
  } finally {
    await world.close();
  }
}
