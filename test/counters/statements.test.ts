import t from 'tap';
import { type Statement, statementsIn } from '../../src/counters/sql.ts';

const TABLES = ['counters', 'idempotency_keys', 'writers', 'migrations'];

const inSchema = (schema: string): [string, Statement][] => Object.entries(statementsIn(schema));

t.test(
  'the statements for a schema qualify every table with the schema, and nothing else differs',
  async (t) => {
    const others = new Map(inSchema('counts'));
    t.ok(others.size >= 10);
    for (const [what, { name, text }] of inSchema('a "schema"')) {
      const other = others.get(what) as Statement;
      t.equal(text.replaceAll('"a ""schema"""', '"counts"'), other.text, what);
      t.match(text, new RegExp(`"a ""schema"""\\.(${TABLES.join('|')})\\b`), what);
      t.notMatch(text, new RegExp(`(?:from|into|update|join|table)\\s+(${TABLES.join('|')})\\b`), what);
      if (name !== '') t.not(name, other.name, 'different texts have different names');
      t.ok(name.length < 64, 'PostgreSQL does not truncate the name');
    }
  },
);

t.test('different statements have different names, which are the same in every process', async (t) => {
  const named = inSchema('counts').filter(([, { name }]) => name !== '');
  t.equal(new Set(named.map(([, { name }]) => name)).size, named.length);
  t.strictSame(new Map(inSchema('counts')), new Map(inSchema('counts')));
});
