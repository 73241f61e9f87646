/** What the driver says of a statement that succeeded. */
export interface StatementResult {
  rows?: unknown[] | undefined;
  /** Rows returned or written. */
  rowCount?: number | null | undefined;
  command?: string | undefined;
}

/** Told what became of one statement. */
export interface StatementObserver {
  answered(result: StatementResult): void;
  failed(error: unknown): void;
}

/** Told of each statement at the moment it is sent. */
export type Observe = (sql: string, backendPid: number) => StatementObserver | undefined;

/** Sends a statement and tells `observe` of it; without an observer it costs nothing. */
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
