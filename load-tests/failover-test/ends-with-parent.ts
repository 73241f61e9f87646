/** Loaded before the service, to end it when the command that started it has ended, whatever the reason. */
const POLL_MS = 500;
const parent = process.ppid;

setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, POLL_MS).unref();
