import type { HttpConnection } from './connection.ts';
import type { Arrivals } from './load.ts';
import type { Tally } from './tally.ts';

/** The interval between two checks for arrivals in the open loop, in milliseconds: the resolution of timers. */
const POLL_MS = 1;

/** Closed loop: every caller sends its next request after the answer to the previous one. */
export async function closedLoop(
  callers: readonly Pick<HttpConnection, 'usable' | 'send'>[],
  request: () => string,
  tally: Tally,
): Promise<void> {
  const done = callers.map((caller) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const next = () => {
      const sentAt = performance.now();
      if (sentAt >= tally.endsAt || !caller.usable) return resolve();
      caller.send(request(), (status) => {
        tally.answered(status, sentAt);
        next();
      });
    };
    next();
    return promise;
  });
  await Promise.all(done);
}

/** Open loop: arrivals do not wait for a slow service, which avoids coordinated omission. */
export async function openLoop(
  connections: readonly HttpConnection[],
  request: () => string,
  tally: Tally,
  { perSecond, whenBusy }: Arrivals,
): Promise<void> {
  const free = [...connections];
  const waiting: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let first = 0;
  let busy = 0;
  let next = tally.startedAt;
  const send = (intendedAt: number, connection: HttpConnection) => {
    busy += 1;
    connection.send(request(), (status) => {
      tally.answered(status, intendedAt);
      busy -= 1;
      const longest = waiting[first];
      if (connection.usable && longest !== undefined) {
        first += 1;
        send(longest, connection);
      } else if (connection.usable) free.push(connection);
    });
  };
  const look = () => {
    const now = performance.now();
    for (; next <= now && next < tally.endsAt; next += (-Math.log(1 - Math.random()) / perSecond) * 1000) {
      tally.arrived(now - next);
      const connection = free.pop();
      if (connection) send(next, connection);
      else if (whenBusy === 'wait') waiting.push(next);
      else tally.dropped();
    }
    if (next < tally.endsAt || busy > 0) setTimeout(look, POLL_MS);
    else resolve();
  };
  look();
  await promise;
}
