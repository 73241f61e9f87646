import type { Lab } from '../bench/experiment.ts';
import { batchedFlush } from './batched-flush.ts';
import { cachedLock } from './cached-lock.ts';
import { commitError } from './commit-error.ts';
import { hangingFlush } from './hanging-flush.ts';
import { launderedVersion } from './laundered-version.ts';
import { leakedConnection } from './leaked-connection.ts';
import { nativeUpdateHooks } from './native-update-hooks.ts';
import { parallelBegin } from './parallel-begin.ts';
import { parallelFlush } from './parallel-flush.ts';
import { partialLoad } from './partial-load.ts';
import { rawFragment } from './raw-fragment.ts';
import { reusedOptions } from './reused-options.ts';
import { savepointNames } from './savepoint-names.ts';
import { sharedContext } from './shared-context.ts';
import { silentRollback } from './silent-rollback.ts';
import { staleFind } from './stale-find.ts';
import { staleLock } from './stale-lock.ts';
import { unlockedMigrations } from './unlocked-migrations.ts';
import { upsertVersion } from './upsert-version.ts';

export const traps: Lab = {
  name: 'traps',
  summary:
    'Where MikroORM behaves differently from what one would expect, without an error, and what guards against it.',
  terms: [
    'EntityManager',
    'entity',
    'flush',
    'version property',
    'pessimistic lock',
    'savepoint',
    'result cache',
    'upsert',
    'raw SQL',
  ],
  experiments: [
    batchedFlush,
    launderedVersion,
    partialLoad,
    savepointNames,
    reusedOptions,
    silentRollback,
    leakedConnection,
    sharedContext,
    parallelBegin,
    parallelFlush,
    hangingFlush,
    cachedLock,
    staleLock,
    staleFind,
    upsertVersion,
    rawFragment,
    nativeUpdateHooks,
    commitError,
    unlockedMigrations,
  ],
};
