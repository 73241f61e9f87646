import { join } from 'node:path';
import t from 'tap';
import { Exchange } from '../../load-tests/fault-test/callers/exchange.ts';
import { Journal } from '../../load-tests/fault-test/journal/journal.ts';
import { freePort } from '../../src/embedded-postgres/server.ts';

t.test('an operation whose signal is aborted is not sent again, and its outcome stays unknown', async (t) => {
  const journal = new Journal(join(t.testdir(), 'journal'), 'run', 1);
  const exchange = new Exchange(journal, [{ port: await freePort() }], () => 0);
  const over = new AbortController();
  const operation = journal.begin('ticket', '1');
  const settled = exchange.settle(operation, 600_000, over.signal);
  over.abort();
  await settled;
  t.equal(operation.outcome, 'unknown');
  exchange.close();
  journal.close();
});
