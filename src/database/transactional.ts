import { TransactionPropagation, type TransactionOptions } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { retry, type RetryPolicy } from '../concurrency/retry.ts';
import { isConflict } from './failure.ts';

interface TransactionalOptions extends Omit<TransactionOptions, 'ctx'> {
  /** How often a transaction that met a conflict is run again, as a whole. Without it, it is run once. */
  retry?: Omit<RetryPolicy, 'retryable'>;
}

/**
 * What `@Transactional` is elsewhere, as a function around a function (decorators do not survive the stripping of
 * types): all that `work` does through the EntityManager it is given is committed together, or rolled back when it
 * throws. The EntityManager is the first argument of both, so that a transaction is seen in the signature and not
 * found in the air; parallel tasks each bring a fork.
 *
 * Called with an EntityManager that is inside a transaction, it joins that one (propagation REQUIRED): the
 * outermost call alone commits, rolls back and retries, since half a transaction cannot be run again. A retry
 * reads anew: each attempt begins with an empty identity map.
 *
 * @throws {RetriesExhaustedError} when a retry was asked for and its attempts or its time are used up
 * @throws whatever `work` or the commit throws
 */
export function transactional<Arguments extends unknown[], Result>(
  work: (em: EntityManager, ...args: Arguments) => Promise<Result>,
  { retry: policy, ...given }: TransactionalOptions = {},
): (em: EntityManager, ...args: Arguments) => Promise<Result> {
  return (em, ...args) => {
    const attempt = () => {
      // A new object for each call: MikroORM writes the transaction it finds into the options it is given.
      const options = {
        propagation: TransactionPropagation.REQUIRED,
        ...(policy ? { clear: true } : {}),
        ...given,
      };
      return em.transactional((tx) => work(tx, ...args), options);
    };
    return policy && !em.isInTransaction() ? retry(attempt, { ...policy, retryable: isConflict }) : attempt();
  };
}
