import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { CHECKOUT } from '../helper.ts';

t.test(
  'the exit code is 0 if all checks hold, 1 if one does not, and 3 if the result is inconclusive',
  async (t) => {
    const command = join(CHECKOUT, 'src/command-line/command.ts');
    const codeOf = (result: boolean | null) =>
      promisify(execFile)(process.execPath, [
        '--input-type=module',
        '-e',
        `const { runCommand } = await import(${JSON.stringify(command)});
       await runCommand({ name: 'x', about: '', options: {}, variables: {}, run: async () => ${result} });`,
      ]).then(
        () => 0,
        ({ code }: { code: number }) => code,
      );
    t.strictSame(await Promise.all([true, false, null].map(codeOf)), [0, 1, 3]);
  },
);
