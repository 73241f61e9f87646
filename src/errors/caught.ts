/** The message of whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Why it failed, in one line: a name with several addresses fails with several errors, of which the first says why. */
export function reasonOf(error: unknown): string {
  const said = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  return messageOf(said).split('\n')[0] ?? '';
}

/** The code of whatever was thrown: a SQLSTATE, or one of the system's such as ENOENT. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
