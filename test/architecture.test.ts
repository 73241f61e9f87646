import { readFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { CHECKOUT } from './helper.ts';

/** The rooms that each room may import from, besides itself: the drawing in CONTRIBUTING, as it is enforced. */
const mayUse: Record<string, readonly string[]> = {
  'src/errors': [],
  'src/concurrency': [],
  'src/web': [],
  'src/embedded-postgres': ['src/errors'],
  'src/command-line': ['src/errors'],
  'src/database': ['src/concurrency', 'src/errors'],
  'src/http': ['src/database', 'src/concurrency', 'src/errors'],
  'src/counters': ['src/http', 'src/database', 'src/concurrency', 'src/errors'],
  'src/client': [],
  'src/library': ['src/counters', 'src/http', 'src/database', 'src/errors'],
  'src/strategies': ['src/http', 'src/database', 'src/concurrency', 'src/errors'],
  'src/races': ['src/strategies', 'src/http', 'src/database', 'src/concurrency', 'src/errors'],
  'src/posts': ['src/races', 'src/strategies', 'src/http', 'src/database', 'src/errors'],
  'src/labs/bench': ['src/strategies', 'src/database', 'src/concurrency', 'src/errors'],
  'src/labs': ['src/labs/bench', 'src/http', 'src/database', 'src/concurrency', 'src/errors'],
  src: [
    'src/web',
    'src/posts',
    'src/labs',
    'src/races',
    'src/strategies',
    'src/library',
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
    'src/strategies',
    'src/database',
    'src/errors',
  ],
  'load-tests/shared': ['src/command-line', 'src/embedded-postgres', 'src/errors'],
  'load-tests/load-test': [
    'load-tests/shared',
    'src/command-line',
    'src/posts',
    'src/strategies',
    'src/errors',
  ],
  'load-tests/benchmark/figures': ['load-tests/shared', 'src/command-line'],
  'load-tests/benchmark/orm': [
    'load-tests/benchmark/figures',
    'load-tests/shared',
    'src/command-line',
    'src',
    'src/strategies',
    'src/database',
  ],
  'load-tests/benchmark/http': [
    'load-tests/benchmark/figures',
    'load-tests/shared',
    'src/command-line',
    'src',
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

/** The innermost folder that is a room. */
function roomOf(path: string): string {
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder))
    if (mayUse[folder]) return folder;
  return path;
}

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'src', 'load-tests'], {
  cwd: CHECKOUT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path.endsWith('.ts'));

t.test('arrows point down: every import of every file is one that the drawing allows', async (t) => {
  let imports = 0;
  for (const file of files) {
    const room = roomOf(file);
    if (!t.ok(mayUse[room], `${file} is in a room of the drawing`)) continue;
    const text = await readFile(join(CHECKOUT, file), 'utf8');
    for (const [, path = ''] of text.matchAll(/(?:from|import\() ?'(\.[^']+)'/g)) {
      imports += 1;
      const target = relative(CHECKOUT, join(CHECKOUT, dirname(file), path));
      const to = roomOf(target);
      const allowed = to === room || target === 'package.json' || mayUse[room]?.includes(to);
      t.ok(allowed, `${file} imports ${target}`);
    }
    if (room === 'src/concurrency') t.notMatch(text, /from '(?!node:|\.\/)/, `${file} knows no library`);
  }
  t.ok(imports > 400);
});

t.test('no room is used by one that it uses itself, directly or around corners', async (t) => {
  const reach = (room: string, seen = new Set<string>()): Set<string> => {
    for (const next of mayUse[room] ?? []) if (!seen.has(next)) reach(next, seen.add(next));
    return seen;
  };
  for (const room of Object.keys(mayUse)) t.notOk(reach(room).has(room), `${room} is in no circle`);
});
