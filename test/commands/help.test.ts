import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { CHECKOUT, runProgram } from '../helper.ts';

const { scripts } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** Some of the lines that the help of each command must have on its options and its environment. */
const commands: Record<string, RegExp[]> = {
  'load-test': [
    /^ {2}--amount N +the number of calls .*1 to 10000 \(default 40\)$/m,
    /^ {2}DATABASE_URL {2}/m,
  ],
  benchmark: [
    /^ {2}--workers LIST +.*\(default 1,8\)$/m,
    /^Environment:\n {2}none$/m,
    /^ {2}--slice N .*milliseconds, 50 to 10000/m,
  ],
  'fault-test': [/^ {2}--journal FILE +.*\(default load-tests\/results\/faults\.journal\)$/m, /POSTGRES_BIN/],
  'failover-test': [/^ {2}--rounds N +.*1 to 1000 \(default 20\)$/m, /POSTGRES_BIN/],
  'upgrade-test': [
    /^Usage: upgrade-test REVISION \[options\]$/m,
    /^ {2}--replicas N .*\(default 2\)$/m,
    /POSTGRES_BIN/,
  ],
  verify: [/^Usage: verify DATABASE_URL \[options\]$/m, /^ {2}--json +/m, /PGPASSWORD/],
  screenshots: [
    /^ {2}CHROMIUM +.*\(default \/usr\/bin\/chromium-headless-shell, else \/usr\/bin\/chromium\)$/m,
  ],
};

for (const [name, expected] of Object.entries(commands)) {
  t.test(`${name} --help prints the usage, and does nothing else`, async (t) => {
    const program = scripts[name]?.replace(/^node /, '') ?? '';
    const picture = join(CHECKOUT, 'docs/page/race-1600-light.png');
    const { mtimeMs } = await stat(picture);
    // Also with a bad option, and without a browser.
    const asked = await runProgram(t, [program, '--help', '--bad'], { CHROMIUM: '/nowhere' }).ended;
    t.match(asked, { code: 0, stderr: '', stdout: /^Usage: [^\n]+\n\S/ });
    for (const line of [...expected, /^ {2}--help /m, /^Exit codes:\n {2}0 +all checks hold\n {2}1 /m])
      t.match(asked.stdout, line);
    if (name !== 'screenshots') t.match(asked.stdout, new RegExp(`^Example:\\n {2}${name} \\S`, 'm'));
    t.equal((await stat(picture)).mtimeMs, mtimeMs);
  });
}

t.test('through npm, the usage shows the npm command', async (t) => {
  const env = { npm_lifecycle_event: 'verify' };
  const { stdout } = await runProgram(t, ['src/verify/main.ts', '--help'], env).ended;
  t.match(stdout, /^Usage: npm run verify -- DATABASE_URL \[options\]\n/);
});
