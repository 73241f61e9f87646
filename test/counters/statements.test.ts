import t from 'tap';
import * as selective from '../../src/counters/selective-statement.ts';
import * as statements from '../../src/counters/statements.ts';

const all = Object.entries({ ...statements, ...selective }).filter(
  (entry): entry is [string, statements.Statement] => typeof entry[1] === 'object',
);

t.test('a statement for a schema qualifies every table with the schema, and nothing else', async (t) => {
  t.ok(all.length >= 10);
  for (const [name, statement] of all) {
    const { text, name: prepared } = statements.inSchema(statement, 'a "schema"');
    t.notMatch(text, /(?:from|into|update|join)\s+(?:counters|counter_writers|idempotency_keys)\b/, name);
    t.match(text, /"a ""schema"""\.(?:counters|counter_writers|idempotency_keys)\b/, name);
    t.equal(text.replaceAll('"a ""schema""".', ''), statement.text, name);
    if (statement.name !== '') t.not(prepared, statement.name, 'different texts have different names');
    t.ok((prepared ?? '').length < 64, 'PostgreSQL does not truncate the name');
  }
});
