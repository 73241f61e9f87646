import t from 'tap';
import { StatementSpotter } from '../../load-tests/fault-test/network/statements.ts';
import type { Ask } from '../../src/counters/ask.ts';
import { remove, set } from '../../src/counters/change.ts';
import { WRITE_SELECTIVE } from '../../src/counters/selective-statement.ts';
import { CLOSE, WRITE, WRITE_KEYED, WRITE_ONE } from '../../src/counters/statements.ts';

/** How the spotter classifies a statement that is sent as a simple query. */
const doneBy = ({ text }: { text: string }) =>
  new StatementSpotter().spot({ type: 'Q', bytes: Buffer.from(`Q....${text}\0`) })?.does;

t.test('only statements that write or close a batch count as statements of the writer', async (t) => {
  for (const statement of [WRITE_ONE, WRITE, WRITE_KEYED, WRITE_SELECTIVE])
    t.equal(doneBy(statement), 'write');
  t.equal(doneBy(CLOSE), 'close');
  const changes: { text: string }[] = [];
  const ask: Ask = async (statement) => {
    changes.push(statement);
    return [];
  };
  await set(ask, { name: 'tickets', change: { value: 1 }, precondition: 'missing' }, 24);
  await set(ask, { name: 'tickets', change: { value: 1 }, precondition: 'exists' }, 24);
  await remove(ask, 'tickets', 'exists');
  t.same(changes.map(doneBy), [undefined, undefined, undefined]);
});
