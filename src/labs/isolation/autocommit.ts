import type { Experiment } from '../bench/experiment.ts';
import { Stepper } from '../bench/schedule.ts';
import { ROWS, T1, T2, TABLE } from '../bench/sessions.ts';
import { formatRows } from '../bench/transcript.ts';

const readTransactionId = 'select txid_current()::text as transaction_id';

/** The behaviour without an explicit transaction. */
export const autocommit: Experiment = {
  name: 'autocommit',
  claim:
    'Without BEGIN, each statement is a separate transaction: it takes effect at once, cannot be rolled back, and a read does not protect a write that is based on it.',
  cure: `
-- A single statement that reads and writes needs no explicit transaction.
update test set value = value + 1 where id = 1 returning value;`,
  setup: `${TABLE}; ${ROWS}`,
  async run(scratch) {
    const stepper = new Stepper(scratch);
    const state = async () =>
      formatRows((await scratch.outside.query('select id, value from test order by id')).rows);

    const ids = await stepper.run([T1.step(readTransactionId), T1.step(readTransactionId)]);
    await stepper.run([T1.write(2, 99), T2.read(2), T1.abort]);
    const afterRollback = await state();
    const race = await stepper.run([T1.read(1), T2.read(1), T1.write(1, 11), T2.write(1, 11)]);
    const figures = {
      transaction_ids: ids.flatMap(({ rows }) => rows ?? []),
      after_rollback: afterRollback,
      after_two_increments: await state(),
      waited: race.filter(({ blocked_by: by }) => by).length,
    };
    const [first, second] = figures.transaction_ids.map((row) => JSON.stringify(row));
    const holds =
      first !== second &&
      afterRollback === '1→10 2→99' &&
      figures.after_two_increments === '1→11 2→99' &&
      figures.waited === 0;
    return { holds, figures };
  },
};
