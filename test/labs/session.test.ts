import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { session } from '../../src/labs/session/index.ts';
import { readYourWrites } from '../../src/labs/session/read-your-writes.ts';
import { readerWriter } from '../../src/labs/session/reader-writer.ts';
import { completePostgres, startPair } from '../standby.ts';
import { holdAndLeaveNothing, labContext } from './lab-helper.ts';

t.test('session: every claim holds', async (t) => {
  await holdAndLeaveNothing(t, session.experiments, await labContext(t));
});

const bin = await completePostgres();

t.test(
  'with a streaming standby, reads go to the standby, and writes that it lacks are read from the primary',
  { skip: bin ? false : 'pg_basebackup is not installed' },
  async (t) => {
    const { primary, standby } = await startPair(t, bin ?? '');
    const { signal } = new AbortController();
    const context = {
      databaseUrl: primary,
      config: loadConfig({ DATABASE_REPLICA_URLS: standby }),
      log: { info: () => {}, warn: () => {} },
      signal,
    };
    await holdAndLeaveNothing(t, [readerWriter, readYourWrites], context);
    const [routed, written] = await Promise.all([readerWriter.run(context), readYourWrites.run(context)]);
    t.match(routed.evidence.figures, { standby: true, reader: { in_recovery: true } });
    t.match(written.evidence.figures, { standby: true, paused: true, at_once: 0, refreshed: 0 });
    const both = await Promise.all([1, 2].map(() => readYourWrites.run(context)));
    for (const one of both) t.match(one, { holds: true }, 'two callers at once');
  },
);
