import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { callersOf, digestOf } from '../../src/http/caller.ts';
import { testFolder } from '../helper.ts';

const folder = await testFolder(t, 'tokens-file');
const API_TOKENS_FILE = join(folder, 'tokens.json');

const [A, B, C] = ['token a', 'token b', 'token c'].map(digestOf);
const shop = { name: 'shop', sha256: A, prefix: 'shop:', perSecond: 5 };
const blog = { name: 'blog', sha256: B, prefix: '', perSecond: 1_000_000 };

const written = async (content: unknown) => {
  await writeFile(API_TOKENS_FILE, typeof content === 'string' ? content : JSON.stringify(content));
  return { API_TOKENS_FILE };
};

t.test('each token of the file is a caller with a prefix, a quota and separate keys', async (t) => {
  const callers = callersOf(await written([shop, { ...blog, sha256: [B, C?.toUpperCase()] }]));
  t.match(callers.get(A ?? ''), {
    name: 'shop',
    prefix: 'shop:',
    keyspace: 'shop\n',
    quota: { perSecond: 5 },
  });
  t.match(callers.get(B ?? ''), { name: 'blog', prefix: '', keyspace: 'blog\n' });
  t.equal(callers.get(C ?? ''), callers.get(B ?? ''), 'two tokens of one entry are one caller');
  t.equal(callers.size, 3);
});

t.test('API_TOKEN has no prefix, no quota and no separate keyspace', async (t) => {
  const only = callersOf({ API_TOKEN: 'a-token-of-the-tests' });
  t.strictSame([...only.values()], [{ name: 'API_TOKEN', prefix: '', keyspace: '' }]);
  const both = callersOf({ API_TOKEN: 'a-token-of-the-tests', ...(await written([shop])) });
  t.strictSame(
    [...both.values()].map(({ name }) => name),
    ['API_TOKEN', 'shop'],
  );
  t.equal(callersOf({}).size, 0);
});

t.test('a byte order mark at the beginning of the file is ignored', async (t) => {
  t.equal(callersOf(await written(`\uFEFF${JSON.stringify([shop])}`)).size, 1);
});

const NAME = '1 to 64 letters, digits or ._-';
const HASH = '64 hexadecimal digits, or a list of two such hashes while a token is being replaced';

t.test(
  'an error in the file is reported in one line that names the entry, the field and what is allowed',
  async (t) => {
    const cases: [unknown, string][] = [
      ['[', 'it is not JSON'],
      [{}, 'it must be an array of 1 to 1000 entries'],
      [[], 'it must be an array of 1 to 1000 entries'],
      [Array.from({ length: 1001 }, () => shop), 'it must be an array of 1 to 1000 entries'],
      [[shop, 'blog'], 'entry 2 must be an object'],
      [[shop, {}], 'entry 2 has no name'],
      [[{ ...shop, prefix: undefined }], 'entry 1 ("shop") has no prefix'],
      [[{ ...shop, quota: 1 }], 'entry 1 ("shop") has an unknown field "quota"'],
      [[shop, { ...blog, name: 'the blog' }], `entry 2 ("the blog"): name must be ${NAME}`],
      [[{ ...shop, name: 7 }], `entry 1: name must be ${NAME}`],
      [[{ ...shop, sha256: A?.slice(1) }], `entry 1 ("shop"): sha256 must be ${HASH}`],
      [[{ ...shop, sha256: [] }], `entry 1 ("shop"): sha256 must be ${HASH}`],
      [[{ ...shop, sha256: [A, B, C] }], `entry 1 ("shop"): sha256 must be ${HASH}`],
      [
        [{ ...shop, prefix: 'a\n' }],
        'entry 1 ("shop"): prefix must be 0 to 200 characters, any but control characters',
      ],
      [
        [{ ...shop, prefix: 'x'.repeat(201) }],
        'entry 1 ("shop"): prefix must be 0 to 200 characters, any but control characters',
      ],
      [[{ ...shop, perSecond: 0 }], 'entry 1 ("shop"): perSecond must be an integer from 1 to 1000000'],
      [[{ ...shop, perSecond: 1.5 }], 'entry 1 ("shop"): perSecond must be an integer from 1 to 1000000'],
      [[{ ...shop, perSecond: '5' }], 'entry 1 ("shop"): perSecond must be an integer from 1 to 1000000'],
      [[shop, { ...blog, name: 'shop' }], 'entry 2 ("shop"): name is already that of another entry'],
      [[shop, { ...blog, sha256: [B, A] }], 'entry 2 ("blog"): sha256 is already that of shop'],
      [' '.repeat(1_048_577), 'it is larger than 1048576 bytes'],
    ];
    for (const [content, reason] of cases) refuses(t, await written(content), reason);
  },
);

t.test('a file that holds a token in plain text is refused, and the token is not shown', async (t) => {
  const env = await written([{ ...shop, sha256: 'a-token-of-the-tests' }]);
  t.throws(() => loadConfig(env), { message: /^((?!a-token-of-the-tests).)*$/ });
  t.throws(() => loadConfig({ API_TOKENS_FILE: join(folder, 'not json') }), { message: /^.*$/ });
});

t.test('the token of API_TOKEN may not be in the file as well', async (t) => {
  const env = await written([{ ...shop, sha256: digestOf('a-token-of-the-tests') }]);
  const reason = 'entry 1 ("shop"): sha256 is already that of API_TOKEN';
  refuses(t, { API_TOKEN: 'a-token-of-the-tests', ...env }, reason);
});

t.test('a path that is not a text file is refused', async (t) => {
  const path = join(folder, 'folder');
  await mkdir(path);
  refuses(t, { API_TOKENS_FILE: path }, 'it is not a file');
  const missing = join(folder, 'missing.json');
  refuses(
    t,
    { API_TOKENS_FILE: missing },
    `it cannot be read: ENOENT: no such file or directory, stat '${missing}'`,
  );
  await writeFile(API_TOKENS_FILE, Buffer.from('["\xff"]', 'latin1'));
  refuses(t, { API_TOKENS_FILE }, 'it is not text in UTF-8');
});

function refuses(t: Test, env: { API_TOKENS_FILE: string; API_TOKEN?: string }, reason: string): void {
  let message = '';
  try {
    loadConfig(env);
  } catch (error) {
    t.match(error, { name: 'StartupError' });
    ({ message } = error as Error);
  }
  t.ok(
    message.startsWith(`API_TOKENS_FILE is "${env.API_TOKENS_FILE}" (${reason}); allowed: a JSON file`),
    message,
  );
  t.notMatch(message, '\n');
}
