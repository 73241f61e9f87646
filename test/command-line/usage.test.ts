import t from 'tap';
import { flag, whole } from '../../src/command-line/option.ts';
import { usage } from '../../src/command-line/usage.ts';

const description = {
  name: 'count',
  about: 'Counts.',
  options: { times: whole(`the number of times, ${'with a long explanation, '.repeat(6)}in all`, 1, 9, 3) },
  variables: {},
};

t.test('a line is broken at 120 columns, and the rest is aligned', async (t) => {
  const lines = usage(description).split('\n');
  t.ok(lines.every((line) => line.length <= 120));
  const first = lines.findIndex((line) => line.startsWith('  --times N  the number of times,'));
  t.match(lines[first + 1], /^ {13}\S/);
});

t.test('an example, an argument and the exit codes are described if there are any', async (t) => {
  const plain = usage(description);
  t.notMatch(plain, /Example|Argument/);
  t.match(
    plain,
    /^Exit codes:\n {2}0 {4}all checks hold\n {2}1 {4}a check does not hold; or the command failed\n {2}2 /m,
  );
  t.notMatch(plain, /^ {2}3 /m);
  const file = { operand: true, value: 'FILE', about: 'what to count', allowed: 'a file', read: String };
  const full = usage({
    ...description,
    example: 'lines.txt --fast',
    options: { file, fast: flag('in a hurry') },
    exitCodes: { 1: 'a line is missing', 3: 'inconclusive' },
  });
  t.match(full, /^Example:\n {2}(npm run count -- )?(count )?lines\.txt --fast$/m);
  t.match(full, /^Argument:\n {2}FILE {2}what to count: a file$/m);
  t.match(full, /^ {2}1 {4}a line is missing; or the command failed$/m);
  t.match(full, /^ {2}3 {4}inconclusive$/m);
});
