import { TransactionPropagation, type TransactionOptions } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { retry, type RetryPolicy } from '../../concurrency/retry.ts';
import { isConflict } from '../../database/failure.ts';

interface TransactionalOptions extends Omit<TransactionOptions, 'ctx'> {
  /** How the whole transaction is retried after a conflict. Without it, there is no retry. */
  retry?: Omit<RetryPolicy, 'retryable'>;
}

/**
 * The equivalent of the decorator `@Transactional`, as a function that wraps a function (Node's type stripping does not
 * support decorators). Everything that `work` does through its EntityManager is committed together, or rolled back when
 * `work` throws. The EntityManager is the first argument of both functions, so that the signature shows the transaction.
 * Each parallel task passes its own fork.
 *
 * A call with an EntityManager that is inside a transaction joins that transaction (propagation REQUIRED): only the
 * outermost call commits, rolls back and retries, because a part of a transaction cannot be retried. Each attempt begins
 * with an empty identity map, so a retry reads the current values.
 *
 * @throws {RetriesExhaustedError} when `retry` is given and its attempts or its time are used up
 * @throws any error of `work` or of the commit
 */
export function transactional<Arguments extends unknown[], Result>(
  work: (em: EntityManager, ...args: Arguments) => Promise<Result>,
  { retry: policy, ...given }: TransactionalOptions = {},
): (em: EntityManager, ...args: Arguments) => Promise<Result> {
  return (em, ...args) => {
    const attempt = () => {
      // A new object for each call, because MikroORM writes the current transaction into it.
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
