/** Loaded before the service: it ends when the command that started it is gone, however that has ended. */
const LOOK_MS = 500;
const parent = process.ppid;

setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, LOOK_MS).unref();
