import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import t from 'tap';
import { CHECKOUT } from './helper.ts';

/** Where a folder of `src` may import from, besides itself and the files that lie in `src` directly. */
const mayUse: Record<string, string[]> = {
  concurrency: [],
  database: ['concurrency'],
  posts: ['database', 'concurrency', 'strategies', 'races'],
  strategies: ['database', 'concurrency', 'posts', 'races'],
  races: ['database', 'concurrency', 'posts', 'strategies'],
  labs: ['database', 'concurrency', 'posts', 'strategies'],
  counters: ['database', 'concurrency'],
};

const src = join(CHECKOUT, 'src');

t.test('arrows point down: every import is one that the layout allows', async (t) => {
  let imports = 0;
  for (const file of await readdir(src, { recursive: true })) {
    const [folder = ''] = file.split('/');
    const allowed = mayUse[folder];
    if (!file.endsWith('.ts') || !allowed) continue;
    const text = await readFile(join(src, file), 'utf8');
    for (const [, path = ''] of text.matchAll(/(?:from|import\() ?'(\.[^']+)'/g)) {
      imports += 1;
      const target = relative(src, join(src, file, '..', path));
      const [to = ''] = target.split('/');
      const own = to === folder || !target.includes('/') || target.startsWith('..');
      t.ok(own || allowed.includes(to), `${file} imports ${target}`);
    }
    if (folder === 'concurrency') t.notMatch(text, /from '(?!node:|\.\/)/, `${file} knows no library`);
  }
  t.ok(imports > 100);
});
