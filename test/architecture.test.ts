import { readFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { CHECKOUT } from './helper.ts';

/** The folders that each folder may import from, besides itself: the drawing in ARCHITECTURE.md as data. */
const mayImport: Record<string, readonly string[]> = {
  'src/errors': [],
  'src/concurrency': [],
  'src/web': [],
  'src/embedded-postgres': ['src/errors'],
  'src/command-line': ['src/errors'],
  'src/database': ['src/concurrency', 'src/errors'],
  'src/http': ['src/database', 'src/concurrency', 'src/errors'],
  'src/counters': ['src/http', 'src/database', 'src/concurrency', 'src/errors'],
  'src/counters/http': ['src/counters', 'src/http', 'src/errors'],
  'src/client': [],
  'src/library': ['src/counters/http', 'src/counters', 'src/http', 'src/database', 'src/errors'],
  'src/likes': ['src/database', 'src/concurrency', 'src/errors'],
  'src/strategies': ['src/likes', 'src/database', 'src/concurrency', 'src/errors'],
  'src/strategies/http': ['src/strategies', 'src/likes', 'src/http', 'src/database', 'src/errors'],
  'src/timeline': ['src/database', 'src/errors'],
  'src/races': [
    'src/timeline',
    'src/strategies/http',
    'src/strategies',
    'src/likes',
    'src/http',
    'src/database',
    'src/concurrency',
    'src/errors',
  ],
  'src/posts': [
    'src/races',
    'src/strategies/http',
    'src/strategies',
    'src/likes',
    'src/http',
    'src/database',
    'src/errors',
  ],
  'src/labs/bench': [
    'src/timeline',
    'src/strategies',
    'src/likes',
    'src/database',
    'src/concurrency',
    'src/errors',
  ],
  'src/labs/isolation': ['src/labs/bench', 'src/timeline'],
  'src/labs/freeze': ['src/labs/bench', 'src/database'],
  'src/labs/session': ['src/labs/bench', 'src/errors'],
  'src/labs/state': ['src/labs/bench', 'src/database', 'src/concurrency', 'src/errors'],
  'src/labs/traps': ['src/labs/bench', 'src/database', 'src/concurrency', 'src/errors'],
  'src/labs': [
    'src/labs/isolation',
    'src/labs/freeze',
    'src/labs/session',
    'src/labs/state',
    'src/labs/traps',
    'src/labs/bench',
    'src/timeline',
    'src/http',
    'src/concurrency',
    'src/errors',
  ],
  src: [
    'src/web',
    'src/posts',
    'src/labs',
    'src/races',
    'src/strategies/http',
    'src/strategies',
    'src/likes',
    'src/library',
    'src/counters/http',
    'src/counters',
    'src/http',
    'src/database',
    'src/embedded-postgres',
    'src/concurrency',
    'src/errors',
  ],
  'src/verify': [
    'src',
    'src/command-line',
    'src/labs',
    'src/races',
    'src/strategies/http',
    'src/strategies',
    'src/likes',
    'src/database',
    'src/errors',
  ],
  'load-tests/shared': [
    'src/command-line',
    'src',
    'src/counters',
    'src/database',
    'src/embedded-postgres',
    'src/errors',
  ],
  'load-tests/load-test': [
    'load-tests/shared',
    'src/command-line',
    'src/posts',
    'src/strategies/http',
    'src/strategies',
    'src/likes',
    'src/errors',
  ],
  'load-tests/benchmark/figures': ['load-tests/shared', 'src/command-line'],
  'load-tests/benchmark/orm': [
    'load-tests/benchmark/figures',
    'load-tests/shared',
    'src/command-line',
    'src',
    'src/strategies/http',
    'src/strategies',
    'src/likes',
    'src/database',
  ],
  'load-tests/benchmark/http': [
    'load-tests/benchmark/figures',
    'load-tests/shared',
    'src/command-line',
    'src',
    'src/counters/http',
    'src/counters',
    'src/http',
  ],
  'load-tests/benchmark/storage': [
    'load-tests/benchmark/figures',
    'load-tests/shared',
    'src/command-line',
    'src',
    'src/counters',
    'src/database',
  ],
  'load-tests/benchmark/statements': [
    'load-tests/benchmark/figures',
    'load-tests/benchmark/scale',
    'load-tests/shared',
    'src/command-line',
    'src/counters',
    'src/database',
  ],
  'load-tests/benchmark/demos': [
    'load-tests/benchmark/figures',
    'load-tests/benchmark/http',
    'load-tests/shared',
    'src/command-line',
  ],
  'load-tests/benchmark/scale': [
    'load-tests/benchmark/http',
    'load-tests/shared',
    'src/command-line',
    'src',
    'src/counters',
    'src/database',
    'src/embedded-postgres',
    'src/errors',
  ],
  'load-tests/benchmark/peers': [
    'load-tests/benchmark/figures',
    'load-tests/benchmark/http',
    'load-tests/shared',
    'src/command-line',
    'src',
    'src/counters/http',
    'src/counters',
    'src/database',
    'src/embedded-postgres',
    'src/errors',
  ],
  'load-tests/benchmark': [
    'load-tests/benchmark/figures',
    'load-tests/benchmark/orm',
    'load-tests/benchmark/http',
    'load-tests/benchmark/storage',
    'load-tests/benchmark/statements',
    'load-tests/benchmark/demos',
    'load-tests/benchmark/scale',
    'load-tests/benchmark/peers',
    'src/command-line',
  ],
  'load-tests/fault-test': [
    'load-tests/shared',
    'src',
    'src/command-line',
    'src/counters',
    'src/database',
    'src/embedded-postgres',
    'src/concurrency',
    'src/errors',
  ],
  'load-tests/upgrade-test': ['load-tests/fault-test', 'load-tests/shared', 'src/command-line', 'src/errors'],
  'load-tests/failover-test': [
    'load-tests/fault-test',
    'load-tests/shared',
    'src/command-line',
    'src/embedded-postgres',
    'src/errors',
  ],
};

/** The innermost folder of a file that the drawing has. */
function layerOf(path: string): string {
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder))
    if (mayImport[folder]) return folder;
  return path;
}

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'src', 'load-tests'], {
  cwd: CHECKOUT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path.endsWith('.ts'));

t.test('imports point down: the drawing allows every import of every file', async (t) => {
  let imports = 0;
  for (const file of files) {
    const layer = layerOf(file);
    if (!t.ok(mayImport[layer], `${file} is in a folder of the drawing`)) continue;
    const text = await readFile(join(CHECKOUT, file), 'utf8');
    for (const [, path = ''] of text.matchAll(/(?:from|import\() ?'(\.[^']+)'/g)) {
      imports += 1;
      const target = relative(CHECKOUT, join(CHECKOUT, dirname(file), path));
      const to = layerOf(target);
      const allowed = to === layer || target === 'package.json' || mayImport[layer]?.includes(to);
      t.ok(allowed, `${file} imports ${target}`);
    }
    if (layer === 'src/concurrency') t.notMatch(text, /from '(?!node:|\.\/)/, `${file} imports no library`);
  }
  t.ok(imports > 400);
});

t.test('no folder depends on itself, directly or indirectly', async (t) => {
  const reach = (layer: string, seen = new Set<string>()): Set<string> => {
    for (const next of mayImport[layer] ?? []) if (!seen.has(next)) reach(next, seen.add(next));
    return seen;
  };
  for (const layer of Object.keys(mayImport)) t.notOk(reach(layer).has(layer), `${layer} is in no cycle`);
});
