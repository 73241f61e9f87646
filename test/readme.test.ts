import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t from 'tap';
import { labs } from '../src/labs/index.ts';
import { endpoints } from '../src/posts/endpoints.ts';
import { strategies } from '../src/strategies/index.ts';
import { CHECKOUT } from './helper.ts';

/** The anchor that GitHub gives a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .replaceAll(/\s/g, '-');

const anchorsIn = async (file: string) =>
  [...(await readFile(file, 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));

/** The files and folders of the repository. A link to a file that is generated and ignored is dead in another checkout. */
const inRepository = new Set(
  execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: CHECKOUT, encoding: 'utf8' })
    .trim()
    .split('\n')
    .flatMap((file) => (existsSync(join(CHECKOUT, file)) ? [file, ...foldersOf(file)] : [])),
);

function foldersOf(path: string): string[] {
  const folder = dirname(path);
  return folder === '.' ? [] : [folder, ...foldersOf(folder)];
}

const docs = (await readdir(join(CHECKOUT, 'docs'), { recursive: true })).filter((file) =>
  file.endsWith('.md'),
);

for (const file of [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...docs.map((name) => join('docs', name)),
]) {
  t.test(`${file} has no dead link and no placeholder`, async (t) => {
    const text = await readFile(join(CHECKOUT, file), 'utf8');
    t.notMatch(text, /<!--|TODO|TBD|@@/);
    for (const [, target = '', to] of text.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
      if (/^https?:/.test(target)) continue;
      const linked = target ? join(dirname(file), target) : file;
      t.ok(inRepository.has(linked.replace(/\/$/, '')), target);
      if (to) t.ok((await anchorsIn(join(CHECKOUT, linked))).includes(to), `${target}#${to}`);
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
