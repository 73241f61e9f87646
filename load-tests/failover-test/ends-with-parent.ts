/** Loaded before the service: it ends when the command that started it is gone, however that has ended. */
const POLL_MS = 500;
const parent = process.ppid;

setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, POLL_MS).unref();
