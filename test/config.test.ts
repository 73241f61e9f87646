import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig, variables } from '../src/config.ts';
import { CHECKOUT } from './helper.ts';

t.test('an empty environment gives safe defaults', async (t) => {
  t.match(loadConfig({}), { HOST: '127.0.0.1', PORT: 3000, POOL_MAX: 10, ISOLATION_LEVEL: 'read committed' });
  t.ok(Object.isFrozen(loadConfig({})));
});

t.test('each value is parsed by its type, and an empty value counts as unset', async (t) => {
  const env = { PORT: '0', DEMOS: 'false', ISOLATION_LEVEL: 'Repeatable Read', HOST: '  ', UNRELATED: 'x' };
  t.match(loadConfig(env), { PORT: 0, DEMOS: false, ISOLATION_LEVEL: 'repeatable read', HOST: '127.0.0.1' });
});

t.test('a bad value is reported in one line: the variable, the value, what is allowed', async (t) => {
  const cases = {
    PORT: '70000',
    POOL_MAX: '3',
    LOCK_TIMEOUT_MS: '0',
    STATEMENT_TIMEOUT_MS: '5s',
    POOL_ACQUIRE_TIMEOUT_MS: '-1',
    IDLE_IN_TRANSACTION_TIMEOUT_MS: '1.5',
    ISOLATION_LEVEL: 'snapshot',
    DEMOS: 'yes',
    SQL_DEBUG: '1',
    LOG_LEVEL: 'loud',
    ALLOWED_HOSTS: 'likes.example:443',
    TRUST_PROXY: '10.0.0.0/33',
  };
  for (const [name, value] of Object.entries(cases)) {
    t.throws(() => loadConfig({ [name]: value }), {
      name: 'StartupError',
      message: new RegExp(`^${name} is "${value}"; allowed: .+$`),
    });
  }
  t.throws(() => loadConfig({ PORT: 'x', DEMOS: 'y' }), { message: /^PORT .*\nDEMOS .*$/ });
});

t.test('TRUST_PROXY takes true, false, addresses and ranges, and refuses anything else', (t) => {
  const good = ['true', 'false', '10.0.0.1', '10.0.0.0/8, 127.0.0.1', '::1,fd00::/8'];
  for (const TRUST_PROXY of good) t.match(loadConfig({ TRUST_PROXY }), { TRUST_PROXY });
  const bad = [
    'yes',
    '10.0.0.1,',
    '10.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::1/129',
    'loopback',
    '10.0.0.0/8/8',
  ];
  for (const TRUST_PROXY of bad) {
    t.throws(() => loadConfig({ TRUST_PROXY }), { message: /^TRUST_PROXY is .*; allowed: false, true, or/ });
  }
  t.end();
});

t.test('ALLOWED_HOSTS takes host names without a port', (t) => {
  const good = ['likes.example', 'likes.example, app', '[fd00::1],10.0.0.1'];
  for (const ALLOWED_HOSTS of good) t.match(loadConfig({ ALLOWED_HOSTS }), { ALLOWED_HOSTS });
  for (const ALLOWED_HOSTS of ['likes.example:80', 'http://likes.example', 'a,,b', '*']) {
    t.throws(() => loadConfig({ ALLOWED_HOSTS }), { message: /^ALLOWED_HOSTS is .*without a port/ });
  }
  t.end();
});

t.test('a bad address is reported without its password', async (t) => {
  const bad = 'mysql://me:secret@host/db';
  const good = 'postgresql://me:secret@host/db';
  t.throws(() => loadConfig({ DATABASE_URL: bad }), { message: /^((?!secret).)*$/ });
  t.throws(() => loadConfig({ REDIS_URL: bad }), { message: /^REDIS_URL ((?!secret).)*$/ });
  const cases = {
    'postgresql://me:secret@one,,two/db': 'host 2 is empty',
    'postgresql://me:secret@one/db?target_session_attrs=standby':
      'target_session_attrs is "standby", not one of any,',
  };
  for (const [value, reason] of Object.entries(cases)) {
    const message = new RegExp(`^DATABASE_URL is "postgresql://…" \\(${reason}((?!secret).)*\\); allowed: `);
    t.throws(() => loadConfig({ DATABASE_URL: value }), { message });
  }
  for (const value of [bad, `${good},${bad}`, `${good},`]) {
    const message = /^DATABASE_REPLICA_URLS ((?!secret).)*$/;
    t.throws(() => loadConfig({ DATABASE_REPLICA_URLS: value }), { message });
  }
  const both = `${good},${good}`;
  t.equal(loadConfig({ DATABASE_REPLICA_URLS: both }).DATABASE_REPLICA_URLS, both);
});

/** The rows of a table of variables. */
const rowsOf = (text: string) => text.split('\n').filter((line) => /^\| `[A-Z_]+` \|/.test(line));

t.test(
  'docs/operation.md describes every variable, with its default, and the README repeats some rows',
  async (t) => {
    const rows = rowsOf(await readFile(join(CHECKOUT, 'docs/operation.md'), 'utf8'));
    const beginnings = variables.map(
      ({ name, default: value }) =>
        `| \`${name}\` | ${value === undefined ? '' : `\`${JSON.stringify(value).replaceAll('"', '')}\` `}| `,
    );
    t.equal(rows.length, beginnings.length);
    for (const [i, beginning] of beginnings.entries()) t.ok(rows[i]?.startsWith(beginning), beginning);
    const repeated = rowsOf(await readFile(join(CHECKOUT, 'README.md'), 'utf8'));
    t.ok(repeated.length > 0);
    for (const row of repeated) t.ok(rows.includes(row.replaceAll('(docs/operation.md#', '(#')), row);
  },
);
