import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { strategies } from '../../src/strategies/index.ts';
import { CHECKOUT } from '../helper.ts';

/** What is in the folder beside the strategies. */
const others = new Set(['index', 'http']);

t.test('every strategy in the folder is in the registry, under the name of its file', async (t) => {
  const files = (await readdir(join(CHECKOUT, 'src/strategies'))).map((file) => file.replace(/\.ts$/, ''));
  t.strictSame(
    strategies.map(({ name }) => name).toSorted(),
    files.filter((file) => !others.has(file)).toSorted(),
  );
});

t.test('the summary of each strategy is one sentence', async (t) => {
  for (const { name, summary } of strategies) t.match(summary, /^[A-Z][^.]+\.$/, name);
});
