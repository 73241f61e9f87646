/** Why the service cannot start, in words for its operator: printed alone, without a stack. */
export class StartupError extends Error {
  override name = 'StartupError';
}
