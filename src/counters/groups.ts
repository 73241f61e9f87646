import type { PendingRequest } from './batch.ts';

/**
 * Groups the requests that can affect each other: those that share a counter, directly or through other requests. Uses
 * disjoint sets (Galler and Fischer, "An improved equivalence algorithm", 1964).
 *
 * @returns the indexes of the requests of each group, in the order of arrival
 */
export function groupsOf(requests: readonly PendingRequest[]): number[][] {
  const parents = new Map<string, string>();
  const rootOf = (name: string): string => {
    let root = name;
    for (let parent = parents.get(root); parent !== undefined; parent = parents.get(root)) root = parent;
    // Path compression: the names on this path are one step from the root afterwards.
    for (let step = name; step !== root; ) {
      const next = parents.get(step) ?? root;
      parents.set(step, root);
      step = next;
    }
    return root;
  };
  for (const request of requests) {
    const root = rootOf(firstOf(request));
    for (const { name } of request.increments) {
      const other = rootOf(name);
      if (other !== root) parents.set(other, root);
    }
  }
  return [...Map.groupBy(requests.keys(), (i) => rootOf(firstOf(requests[i] as PendingRequest))).values()];
}

const firstOf = ({ increments }: PendingRequest): string => increments[0]?.name ?? '';
