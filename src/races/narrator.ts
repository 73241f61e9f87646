import type { FastifyBaseLogger } from 'fastify';
import type { Statement } from '../database/sessions.ts';

export interface Narrator {
  /** From now on the statements are those of this worker. */
  begin: (worker: number, backendPid: number) => void;
  hear: (statement: Statement) => void;
}

/**
 * Tells the log, at level debug, what a worker's session does: the value before and after, and when a lock was
 * acquired and released. It goes by the statements on the wire, so the strategies need no words for it.
 */
export function narrator(log: FastifyBaseLogger): Narrator {
  let who = {};
  let before: unknown;
  let after: number | undefined;
  let locked = false;
  const say = (message: string, like: unknown) => log.debug({ ...who, like }, message);
  return {
    begin(worker, backendPid) {
      who = { worker, backend_pid: backendPid };
    },
    hear({ sql, row, rowCount, error }) {
      if (error) return;
      before = row?.like ?? before;
      after = Number(/^update .* set "like" = (\d+)/.exec(sql)?.[1] ?? after);
      if (sql.endsWith(' for update')) {
        locked = true;
        say('acquired lock, before the increment', before);
      } else if (sql.startsWith('select')) {
        say('read, before the increment', before);
      } else if (sql.startsWith('update')) {
        say(rowCount === 0 ? 'wrote nothing: no such version' : 'wrote the increment', after);
      } else if (sql === 'commit') {
        say(locked ? 'released lock, after the commit' : 'after the commit', after);
      }
      if (sql === 'commit' || sql === 'rollback') locked = false;
    },
  };
}
