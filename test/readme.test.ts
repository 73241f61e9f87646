import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { labs } from '../src/labs/index.ts';
import { endpoints } from '../src/posts/endpoints.ts';
import { strategies } from '../src/strategies/index.ts';
import { CHECKOUT } from './helper.ts';

for (const file of ['README.md', 'CONTRIBUTING.md']) {
  t.test(`${file} has no dead link and nothing left to fill in`, async (t) => {
    const text = await readFile(join(CHECKOUT, file), 'utf8');
    t.notMatch(text, /<!--|TODO|TBD/);
    for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (!/^https?:/.test(target)) t.ok(existsSync(join(CHECKOUT, target)), target);
    }
    const scripts = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { scripts: object };
    for (const [, script = ''] of text.matchAll(/npm run ([\w:-]+)/g))
      t.ok(script in scripts.scripts, script);
  });
}

t.test('the README names every endpoint, strategy and laboratory', async (t) => {
  const text = await readFile(join(CHECKOUT, 'README.md'), 'utf8');
  for (const { path } of endpoints) t.ok(text.includes(`\`${path}\``), path);
  for (const { name, claim } of strategies) t.match(text, new RegExp(`\`${name}\`.*\\| ${claim} \\|`), name);
  for (const { name } of labs) t.ok(text.includes(name), name);
});
