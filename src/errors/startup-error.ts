/** The reason why the service cannot start, for its operator: only the message is printed, without a stack. */
export class StartupError extends Error {
  override name = 'StartupError';
}
