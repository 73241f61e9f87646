// oxlint-disable-next-line no-restricted-imports
import * as fc from 'fast-check';

/** To repeat the random values of a run: TEST_SEED=…, with the seed that a property reports when it fails. */
export const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
fc.configureGlobal({ seed });

export { fc };
