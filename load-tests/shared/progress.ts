/** One line on a terminal that is written over; nothing anywhere else. Without arguments it is wiped. */
export function progress(title = '', done = 0, of = 0): void {
  if (!process.stderr.isTTY) return;
  const bar = of > 0 ? `${'█'.repeat(Math.round((20 * done) / of)).padEnd(20, '░')} ${done}/${of}  ` : '';
  process.stderr.write(`\r\x1b[K${bar}${title}`);
}
