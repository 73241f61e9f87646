/** The interval of progress lines without a terminal, in milliseconds. */
const LINE_MS = 10_000;

let lastLineAt = performance.now();

/**
 * Reports progress on stderr: on a terminal in one line that is overwritten, elsewhere in a new line every ten seconds.
 * Without arguments, clears the line on the terminal.
 */
export function progress(title = '', done = 0, of = 0): void {
  if (process.stderr.isTTY) {
    const bar = of > 0 ? `${'█'.repeat(Math.round((20 * done) / of)).padEnd(20, '░')} ${done}/${of}  ` : '';
    process.stderr.write(`\r\x1b[K${bar}${title}`);
  } else if (title && performance.now() - lastLineAt >= LINE_MS) {
    lastLineAt = performance.now();
    process.stderr.write(`${done}/${of}  ${title}\n`);
  }
}

/** Prints a result, in place of the progress. */
export function print(text: string): void {
  progress();
  console.log(text);
}
