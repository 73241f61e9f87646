import type { Step } from './schedule.ts';

/** The table of every schedule: two rows, 1 → 10 and 2 → 20. */
export const TABLE = 'create table test (id integer primary key, value integer not null)';
export const ROWS = 'delete from test; insert into test values (1, 10), (2, 20)';

/** The steps that a session of a schedule can take; each is one statement. */
const session = (name: string) => {
  const step = (sql: string): Step => ({ session: name, sql });
  return {
    step,
    read: (id: number) => step(`select id, value from test where id = ${id}`),
    readAll: step('select id, value from test order by id'),
    readWhere: (condition: string) => step(`select id, value from test where ${condition}`),
    write: (id: number, value: number) => step(`update test set value = ${value} where id = ${id}`),
    insert: (id: number, value: number) => step(`insert into test values (${id}, ${value})`),
    deleteWhere: (condition: string) => step(`delete from test where ${condition}`),
    begin: step('begin'),
    commit: step('commit'),
    abort: step('rollback'),
  };
};

export const T1 = session('T1');
export const T2 = session('T2');
export const T3 = session('T3');
