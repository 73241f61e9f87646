import type { FastifyBaseLogger } from 'fastify';
import type { TimelineEntry } from '../timeline/entry.ts';

/**
 * Logs the steps of a worker's session at level debug: the value before and after, and when a lock was acquired and
 * released. It derives them from the statements, so that the strategies need no code for it.
 *
 * @returns a listener to call with each statement once it has been answered
 */
export function narrator(log: FastifyBaseLogger): (entry: TimelineEntry) => void {
  let before: unknown;
  let after: number | undefined;
  let locked = false;
  const say = (message: string, like: unknown) => log.debug({ like }, message);
  return ({ sql = '', rows, row_count: count, message }) => {
    if (message !== undefined) return;
    before = (rows?.[0] as { like?: number } | undefined)?.like ?? before;
    after = Number(/^update .* set "like" = (\d+)/.exec(sql)?.[1] ?? after);
    if (sql.endsWith(' for update')) {
      locked = true;
      say('acquired lock, before the increment', before);
    } else if (sql.startsWith('select')) {
      say('read, before the increment', before);
    } else if (sql.startsWith('update')) {
      say(count === 0 ? 'wrote nothing: the version has changed' : 'wrote the increment', after);
    } else if (sql === 'commit') {
      say(locked ? 'released lock, after the commit' : 'after the commit', after);
    }
    if (sql === 'commit' || sql === 'rollback') locked = false;
  };
}
