import type { Lab } from './bench/experiment.ts';
import { freeze } from './freeze/index.ts';
import { isolation } from './isolation/index.ts';
import { session } from './session/index.ts';
import { state } from './state/index.ts';
import { traps } from './traps/index.ts';

/** Every laboratory, in teaching order. */
export const labs: readonly Lab[] = [isolation, freeze, session, state, traps];
