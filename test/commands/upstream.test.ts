import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { traps } from '../../src/labs/traps/index.ts';
import { CHECKOUT, runProgram, testDatabase } from '../helper.ts';

const scripts = (await readdir(join(CHECKOUT, 'docs/upstream'))).filter((file) => file.endsWith('.ts'));
const names = new Set(traps.experiments.map(({ name }) => name));

for (const script of scripts) {
  t.test(`docs/upstream/${script} reproduces the behaviour that it describes`, async (t) => {
    t.ok(names.has(script.replace(/\.ts$/, '')), 'an experiment has the same name');
    const databaseUrl = await testDatabase(t, { migrated: false });
    const { ended } = runProgram(t, [join('docs/upstream', script)], { DATABASE_URL: databaseUrl });
    const { code, stdout, stderr } = await ended;
    t.match(stdout, /^reproduced$/m, stderr);
    t.equal(code, 0);
  });
}
