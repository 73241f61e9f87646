import { codeOf } from '../errors/caught.ts';

/** The post already has its maximum number of likes. Nothing was written. */
export class SoldOutError extends Error {
  override name = 'SoldOutError';
}

/**
 * The number of likes to write, based on a post that was read.
 *
 * @throws {SoldOutError} if the stock is used up
 */
export function nextLike({ like, stock }: { like: number; stock?: number | null | undefined }): number {
  if (stock != null && like >= stock) throw new SoldOutError(`sold out: ${like} of ${stock} are taken`);
  return like + 1;
}

/** Whether an error means that the stock is used up, as detected by a strategy or by the constraint of the table. */
export const isSoldOut = (error: unknown): boolean =>
  error instanceof SoldOutError || codeOf(error) === CHECK_VIOLATION;

const CHECK_VIOLATION = '23514';
