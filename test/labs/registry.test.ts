import { readdir } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { labs } from '../../src/labs/index.ts';
import { CHECKOUT } from '../helper.ts';

const folder = join(CHECKOUT, 'src/labs');

/** The files in each lab's folder that are not experiments. */
const others: Record<string, string[]> = {
  freeze: ['index', 'requests'],
  session: ['index', 'reader'],
  state: ['cache', 'index', 'read-through'],
  traps: ['index', 'trap'],
  isolation: ['anomalies', 'anomaly', 'index', 'matrices'],
};

t.test('every folder of a lab is in the registry', async (t) => {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== 'bench');
  t.strictSame(labs.map(({ name }) => name).toSorted(), folders.map(({ name }) => name).toSorted());
});

t.test('every experiment in a folder is in its lab, under the name of its file', async (t) => {
  for (const { name, experiments } of labs) {
    const files = (await readdir(join(folder, name))).map((file) => file.replace(/\.ts$/, ''));
    const expected = files.filter((file) => !(others[name] ?? ['index']).includes(file));
    // The schedules of the anomalies are all in `anomalies.ts`.
    const named = experiments.map((one) => one.name).filter((one) => !/^(g|otv|pmp|p4)[0-9a-d]*-/.test(one));
    t.strictSame(named.toSorted(), expected.toSorted(), name);
  }
});

t.test('each experiment has a unique name and a claim that is a sentence', async (t) => {
  const names = labs.flatMap(({ name, experiments }) => experiments.map((one) => `${name}/${one.name}`));
  t.equal(new Set(names).size, names.length);
  for (const { summary, experiments } of labs) {
    t.match(summary, /^[A-Z].+\.$/);
    for (const { name, claim } of experiments) t.match(claim, /^[A-Z].+\.$/, name);
  }
});

t.test('a cure is a few lines of valid code or SQL', async (t) => {
  const cures = labs.flatMap(({ experiments }) => experiments.flatMap(({ cure }) => cure?.trim() ?? []));
  t.ok(cures.length > 30);
  for (const cure of cures) {
    const lines = cure.split('\n');
    t.ok(lines.length <= 8 && lines.every((line) => line.length <= 80), cure);
    if (cure.startsWith('--')) t.match(lines.at(-1), /^[a-z].*;$/);
    else t.ok(stripTypeScriptTypes(`async () => { ${cure}\n }`), cure);
  }
});

t.test('every trap comes with its cure', async (t) => {
  const traps = labs.find(({ name }) => name === 'traps')?.experiments ?? [];
  t.strictSame(
    traps.filter(({ cure }) => !cure).map(({ name }) => name),
    [],
  );
});
