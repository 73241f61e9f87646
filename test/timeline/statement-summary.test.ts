import t from 'tap';
import { summaryOf } from '../../src/timeline/statement-summary.ts';

const done = { failed: false, row_count: 1 };

t.test('a statement on a counter is summarized by what it read or wrote', async (t) => {
  const select = 'select "p0".* from "posts" as "p0" where "p0"."pk" = 1';
  const cases = [
    [{ ...done, sql: select, rows: [{ like: 10, version: 3 }] }, 'reads 10'],
    [{ ...done, sql: `${select} for update`, rows: [{ like: 10 }] }, 'locks and reads 10'],
    [{ ...done, sql: 'select id, value from test', rows: [{ value: 10 }, { value: 20 }] }, 'reads 10, 20'],
    [{ failed: false, row_count: 0, sql: select }, 'reads nothing'],
    [{ ...done, sql: `update "posts" set "like" = 11, "modified_at" = now() where "pk" = 1` }, 'writes 11'],
    [{ ...done, sql: 'update test set value = value + 5 where id = 2' }, 'adds 5'],
    [{ failed: true, sql: 'update test set value = 11 where id = 1' }, 'tries to write 11'],
    [{ failed: true, sql: 'UPDATE posts SET "like" = "like" + 1' }, 'tries to add 1'],
    [
      { failed: false, row_count: 0, sql: 'update posts set "like" = 11 where version = 1' },
      'writes nothing',
    ],
    [{ failed: false, row_count: 0, sql: 'delete from test where value = 20' }, 'deletes nothing'],
  ] as const;
  for (const [statement, expected] of cases) t.equal(summaryOf(statement), expected, statement.sql);
});

t.test('where the SQL is clearer, there is no summary', async (t) => {
  for (const sql of [
    'begin',
    'commit',
    'select pg_backend_pid() as backend',
    'insert into test values (1, 2)',
  ]) {
    t.equal(summaryOf({ ...done, sql, rows: [{ backend: 7 }] }), undefined, sql);
  }
  t.equal(summaryOf({ failed: true, sql: 'select 1/0' }), undefined, 'a failed statement has read nothing');
});
