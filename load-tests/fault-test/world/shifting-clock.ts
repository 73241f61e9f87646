/**
 * Loaded before the service: each SIGWINCH shifts its wall clock (in turn six hours ahead, six hours back, and correct
 * again), as a wrong time server would. The monotonic clock and timers are not affected. Each shift is reported on
 * standard output.
 */
const HOUR_MS = 3_600_000;
const STEPS_MS = [6 * HOUR_MS, -6 * HOUR_MS, 0];

const Real = Date;
let step = -1;
let shiftMs = 0;

globalThis.Date = class extends Real {
  constructor(...given: []) {
    if (given.length === 0) super(Real.now() + shiftMs);
    else super(...given);
  }

  static override now(): number {
    return Real.now() + shiftMs;
  }
} as DateConstructor;

process.on('SIGWINCH', () => {
  step = (step + 1) % STEPS_MS.length;
  shiftMs = STEPS_MS[step] ?? 0;
  process.stdout.write(`clock shifted by ${shiftMs} ms\n`);
});
