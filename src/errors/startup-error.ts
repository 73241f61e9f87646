/** Why the service cannot start, in words for the person who started it: printed alone, without a stack. */
export class StartupError extends Error {
  override name = 'StartupError';
}
