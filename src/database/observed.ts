import type { ClientBase } from 'pg';

/** The driver's result of a successful statement. */
export interface StatementResult {
  rows?: unknown[] | undefined;
  /** Rows returned or written. */
  rowCount?: number | null | undefined;
  command?: string | undefined;
}

/** Receives the result of one statement. */
export interface StatementObserver {
  answered(result: StatementResult): void;
  failed(error: unknown): void;
}

/** Called with each statement when it is sent. */
export type Observe = (sql: string, backendPid: number) => StatementObserver | undefined;

/** The process id of a connection's backend, which the types of the driver lack. */
export const backendPidOf = (client: ClientBase): number =>
  (client as unknown as { processID: number }).processID;

/** Sends a statement and reports it to `observe`; without an observer it costs nothing. */
export function observed<Result extends StatementResult>(
  observe: Observe | undefined,
  sql: string,
  backendPid: number,
  send: () => Promise<Result>,
): Promise<Result> {
  const observer = observe?.(sql, backendPid);
  return observer ? reported(observer, send()) : send();
}

async function reported<Result extends StatementResult>(observer: StatementObserver, sent: Promise<Result>) {
  try {
    const result = await sent;
    observer.answered(result);
    return result;
  } catch (error) {
    observer.failed(error);
    throw error;
  }
}
