import t, { type Test } from 'tap';
import { print, progress } from '../../src/command-line/progress.ts';

/** The output to standard error when progress is reported at these times, in milliseconds. */
function written(t: Test, isTTY: boolean, times: number[]): string[] {
  t.intercept(process.stderr, 'isTTY', { value: isTTY });
  const lines = t.capture(process.stderr, 'write');
  const startedAt = performance.now();
  let now = 0;
  t.capture(performance, 'now', () => startedAt + now);
  for (now of times) progress('hot', now / 1000, 40);
  return lines().map(({ args }) => String(args[0]));
}

t.test('without a terminal, progress is one line every ten seconds', async (t) => {
  const times = [0, 5000, 10_500, 11_000, 20_000, 21_000];
  t.strictSame(written(t, false, times), ['10.5/40  hot\n', '21/40  hot\n']);
});

t.test('on a terminal, progress is one line, overwritten and cleared before a result', async (t) => {
  t.strictSame(written(t, true, [20_000]), [`\r\x1b[K${'█'.repeat(10)}${'░'.repeat(10)} 20/40  hot`]);
  const order: string[] = [];
  t.intercept(process.stderr, 'isTTY', { value: true });
  t.capture(process.stderr, 'write', (text: string) => order.push(text) > 0);
  t.capture(console, 'log', (text: string) => order.push(text));
  print('result');
  t.strictSame(order, ['\r\x1b[K', 'result']);
});
