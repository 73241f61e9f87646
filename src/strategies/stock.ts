import { codeOf } from '../errors/caught.ts';

/** The post has as many likes as it may have. Nothing was written. */
export class SoldOutError extends Error {
  override name = 'SoldOutError';
}

/**
 * The likes after the next one, of a post as it was read.
 *
 * @throws {SoldOutError} when there must not be a next one
 */
export function nextLike({ like, stock }: { like: number; stock?: number | null | undefined }): number {
  if (stock != null && like >= stock) throw new SoldOutError(`${like} of ${stock} are taken`);
  return like + 1;
}

/** Whether it says that the stock is used up: found out by a strategy, or by the constraint of the table. */
export const isSoldOut = (error: unknown): boolean =>
  error instanceof SoldOutError || codeOf(error) === CHECK_VIOLATION;

const CHECK_VIOLATION = '23514';
