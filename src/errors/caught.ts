/** The message of whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The reason in one line. A host name with several addresses fails with one error for each; the first one is used. */
export function reasonOf(error: unknown): string {
  const said = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  return messageOf(said).split('\n')[0] ?? '';
}

/** The code of whatever was thrown: a SQLSTATE, or a code of the operating system such as ENOENT. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
