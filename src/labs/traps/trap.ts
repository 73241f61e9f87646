import { Utils } from '@mikro-orm/core';
import type { Experiment } from '../bench/experiment.ts';
import { POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';

/** The result of falling into the trap, or of avoiding it. */
export interface Outcome {
  /** Whether the expected behaviour was observed: the trap, or that the guard avoids it. */
  seen: boolean;
  figures: Record<string, unknown>;
}

/** A behaviour of MikroORM that differs, without an error, from what one would expect. */
export interface Trap {
  name: string;
  /** What happens, in one sentence. */
  claim: string;
  expectation: string;
  /** What this project does instead. */
  guard: string;
  /** The guard as code. */
  cure: string;
  fallInto: (scratch: Scratch) => Promise<Outcome>;
  avoid: (scratch: Scratch) => Promise<Outcome>;
}

/** The trap as an experiment: it holds as long as the trap exists and the guard avoids it. */
export function experimentOf({ name, claim, expectation, guard, cure, fallInto, avoid }: Trap): Experiment {
  return {
    name,
    claim,
    cure,
    async run(scratch) {
      const { timeline } = scratch;
      const runPart = async (part: string, way: Trap['avoid']) => {
        await scratch.outside.query(`drop table if exists posts; ${POSTS}`);
        timeline.part = part;
        return way(scratch);
      };
      const trap = await runPart('trap', fallInto);
      const guarded = await runPart('guard', avoid);
      const verdict = verdictOf(trap.seen, guarded.seen);
      const figures = {
        verdict,
        expectation,
        trap: trap.figures,
        guard,
        guarded: guarded.figures,
        mikro_orm: Utils.getORMVersion(),
      };
      return { holds: trap.seen && guarded.seen, figures };
    },
  };
}

function verdictOf(trapped: boolean, guarded: boolean): string {
  if (!trapped) return 'this version of MikroORM no longer has the trap: remove the experiment and its guard';
  return guarded ? 'the trap exists, and the guard avoids it' : 'the guard does not avoid the trap';
}
