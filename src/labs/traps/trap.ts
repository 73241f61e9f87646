import { Utils } from '@mikro-orm/core';
import type { Experiment } from '../experiment.ts';
import { POSTS } from '../bench/post-table.ts';
import { type Scratch, withScratch } from '../bench/scratch.ts';

/** What came of one way to do it. */
export interface Outcome {
  /** Whether it is what this way is there to show: the trap, or that the guard keeps out of it. */
  seen: boolean;
  figures: Record<string, unknown>;
}

/** One thing that MikroORM does differently from what one would expect, without saying so. */
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

/** The trap as an experiment: it holds as long as the trap is there and the guard is one. */
export function experimentOf({ name, claim, expectation, guard, cure, fallInto, avoid }: Trap): Experiment {
  return {
    name,
    claim,
    cure,
    run: (context) =>
      withScratch(context, '', async (scratch) => {
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
        return { holds: trap.seen && guarded.seen, evidence: { timeline: timeline.entries, figures } };
      }),
  };
}

function verdictOf(trapped: boolean, guarded: boolean): string {
  if (!trapped) return 'this MikroORM no longer has the trap: take the experiment and its guard out';
  return guarded ? 'the trap is there, and the guard keeps out of it' : 'the guard does not keep out of it';
}
