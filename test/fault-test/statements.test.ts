import t from 'tap';
import { StatementSpotter } from '../../load-tests/fault-test/network/statements.ts';
import type { Ask } from '../../src/counters/ask.ts';
import { remove, set } from '../../src/counters/change.ts';
import { WRITE_SELECTIVE } from '../../src/counters/selective-statement.ts';
import { CLOSE, WRITE, WRITE_KEYED, WRITE_ONE } from '../../src/counters/statements.ts';

/** What the spotter takes a statement for that is sent as a simple query. */
const doneBy = ({ text }: { text: string }) =>
  new StatementSpotter().spot({ type: 'Q', bytes: Buffer.from(`Q....${text}\0`) })?.does;

t.test('only what writes or closes a batch is a statement of the writer', async (t) => {
  for (const statement of [WRITE_ONE, WRITE, WRITE_KEYED, WRITE_SELECTIVE])
    t.equal(doneBy(statement), 'write');
  t.equal(doneBy(CLOSE), 'close');
  const changes: { text: string }[] = [];
  const ask: Ask = async (statement) => {
    changes.push(statement);
    return [];
  };
  await set(ask, 'tickets', { value: 1 }, 'missing');
  await set(ask, 'tickets', { value: 1 }, 'exists');
  await remove(ask, 'tickets', 'exists');
  t.same(changes.map(doneBy), [undefined, undefined, undefined]);
});
