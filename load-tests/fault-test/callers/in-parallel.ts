/** Runs `work` for every item, at most `limit` at the same time. */
export async function inParallel<T>(
  limit: number,
  all: readonly T[],
  work: (one: T) => Promise<void>,
): Promise<void> {
  const queue = all.values();
  await Promise.all(
    Array.from({ length: limit }, async () => {
      for (const one of queue) await work(one);
    }),
  );
}
