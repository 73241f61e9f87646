import type { Lab } from '../bench/experiment.ts';
import { forkPerTask } from './fork-per-task.ts';
import { oneTransaction } from './one-transaction.ts';
import { readYourWrites } from './read-your-writes.ts';
import { readerWriter } from './reader-writer.ts';
import { requestContext } from './request-context.ts';
import { sharedManager } from './shared-manager.ts';
import { transactional } from './transactional.ts';

export const session: Lab = {
  name: 'session',
  summary:
    'What happens to a session, which MikroORM calls EntityManager, when concurrent tasks share it, and what to use instead.',
  terms: ['EntityManager', 'flush', 'fork', 'backend', 'savepoint', 'idle in transaction', 'standby'],
  experiments: [
    sharedManager,
    oneTransaction,
    forkPerTask,
    requestContext,
    transactional,
    readerWriter,
    readYourWrites,
  ],
};
