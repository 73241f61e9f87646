import { resolve } from 'node:path';
import t from 'tap';
import { flag, path, readOptions, UsageError, whole, wholes } from '../../src/command-line/option.ts';

const options = {
  count: whole('how many', 0, 100, 7),
  seed: whole('which', 0, 100),
  list: wholes('these', 1, 9, '1,2'),
  out: path('FILE', 'where to', 'here'),
  fast: flag('in a hurry'),
};

const database = {
  operand: true,
  value: 'URL',
  about: 'where',
  allowed: 'an address',
  read: (text: string) => (text.includes(':') ? text : undefined),
};

t.test('without arguments every option has its default', async (t) => {
  const nothing = { count: 7, seed: undefined, list: [1, 2], out: resolve('here'), fast: false };
  t.strictSame(readOptions(options, []), nothing);
});

t.test('options on the command line replace the defaults', async (t) => {
  const args = ['--count', '100', '--seed=0', '--list', '9', '--out', '/there', '--fast'];
  const given = { count: 100, seed: 0, list: [9], out: '/there', fast: true };
  t.strictSame(readOptions(options, args), given);
});

t.test('a number consists of digits and lies in its range', async (t) => {
  for (const text of ['', ' 5', '1e1', '0x10', '5.0', '+5', '101', 'five']) {
    t.throws(
      () => readOptions(options, [`--count=${text}`]),
      new UsageError(`--count is "${text}"; allowed: 0 to 100`),
    );
  }
  for (const text of ['', '1,', '1,,2', '0,1']) {
    t.throws(() => readOptions(options, [`--list=${text}`]), /; allowed: 1 to 9, with commas in between/);
  }
});

t.test('undeclared options are refused, and so is an empty path', async (t) => {
  for (const [args, message] of [
    [['--slow'], /'--slow'/],
    [['stray'], /'stray'/],
    [['--count'], /--count .*argument missing/],
    [['--out', ''], /--out is ""; allowed: the name of a file/],
  ] as const)
    t.throws(() => readOptions(options, [...args]), message);
});

t.test('an operand is given once, without a name', async (t) => {
  t.strictSame(readOptions({ database }, ['a:b']), { database: 'a:b' });
  for (const args of [[], ['a:b', 'c:d']])
    t.throws(() => readOptions({ database }, args), new UsageError('one URL is needed: an address'));
  t.throws(() => readOptions({ database }, ['x']), new UsageError('URL is "x"; allowed: an address'));
});
