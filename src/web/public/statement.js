// @ts-check

/**
 * What a statement does, in a word or two; empty where its SQL says it better.
 *
 * @param {{ sql?: string, rows?: any[], row_count?: number, like?: number, command?: string, sqlstate?: string, error?: string }} entry
 * @returns {string}
 */
export function saying({ sql = '', ...entry }) {
  const said = WORDS.find(([pattern]) => pattern.test(sql));
  if (!said) return '';
  const [pattern, words] = said;
  return typeof words === 'string' ? words : words(pattern.exec(sql) ?? [], entry);
}

/** @typedef {(match: readonly string[], entry: any) => string} Words */

/** @type {[RegExp, string | Words][]} */
const WORDS = [
  [/^begin(?: isolation level (.+))?/i, ([, level]) => (level ? `begins at ${level}` : 'begins')],
  [/^commit/i, (_, { command }) => (command === 'ROLLBACK' ? 'commits, and is rolled back' : 'commits')],
  [/^rollback to/i, 'goes back to its savepoint'],
  [/^rollback/i, 'takes it all back'],
  [/^savepoint/i, 'sets a savepoint'],
  [/^release/i, 'keeps what is since the savepoint'],
  [/^select pg_sleep/i, 'takes its time'],
  [/^select.*advisory_(xact_)?lock/i, 'takes the lock'],
  [/^select.*txid_current|^select pg_backend_pid/i, 'asks where it is'],
  [
    /^select.*for update/is,
    (_, entry) => (failed(entry) ? 'wants the lock' : read('locks and reads', entry)),
  ],
  [/^select/i, (_, entry) => (failed(entry) ? 'asks' : read('reads', entry))],
  [/^update .*?(?:value|like)"? = (\d+)/is, ([, value], entry) => wrote(entry, `writes ${value}`)],
  [
    /^update .*?(?:value|like)"? = "?(?:value|like)"? \+ (\d+)/is,
    ([, by], entry) => wrote(entry, `adds ${by}`),
  ],
  [/^update/i, (_, entry) => wrote(entry, 'writes')],
  [/^insert/i, (_, entry) => wrote(entry, 'inserts')],
  [/^delete/i, (_, entry) => wrote(entry, 'deletes')],
];

const failed = (/** @type {any} */ { sqlstate, error }) => Boolean(sqlstate ?? error);

/** @type {(verb: string, entry: any) => string} */
function read(verb, { like, rows, row_count: count }) {
  if (like !== undefined) return `${verb} ${like}`;
  const values = (rows ?? [])
    .map((/** @type {any} */ row) => row?.value ?? row?.like)
    .filter((/** @type {unknown} */ value) => value !== undefined);
  if (values.length > 0) return `${verb} ${values.join(', ')}`;
  return count === 0 ? `${verb} nothing` : verb;
}

/** @type {(entry: any, words: string) => string} */
function wrote({ row_count: count, rows, sqlstate, error }, words) {
  if (sqlstate ?? error) return words.replace(/^(\w+?)s\b/, 'tries to $1');
  return (count ?? rows) === 0 ? `${words.split(' ')[0]} nothing` : words;
}

/** Whether its words say all of it. @param {string} sql */
export const saysAll = (sql) => /^(begin( isolation level [a-z ]+)?|commit|rollback)$/i.test(sql);

/** A statement without what only machines read: quotes, aliases, the time of the change. @param {string} sql */
export function shortened(sql) {
  return sql
    .replace(/"(\w+)"/g, '$1')
    .replace(/\b[a-z]\d\./g, '')
    .replace(/ as [a-z]\d\b/g, '')
    .replace(/ (limit 1|returning version)$/, '')
    .replace(/, modified_at = ('[^']*'|now\(\))/g, '')
    .replace(/\s+/g, ' ');
}
