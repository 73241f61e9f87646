import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { faults, schedule } from '../../load-tests/fault-test/faults/index.ts';
import type { History, Truth } from '../../load-tests/fault-test/journal/history.ts';
import { Journal } from '../../load-tests/fault-test/journal/journal.ts';
import { readJournal } from '../../load-tests/fault-test/journal/journal-reader.ts';
import { seeded } from '../../load-tests/fault-test/world/random.ts';

t.test('an operation is in the file before it is sent', async (t) => {
  const file = join(t.testdir(), 'journal');
  const journal = new Journal(file, 'run', 2);
  journal.begin('single');
  t.match(readFileSync(file, 'utf8'), /^run run\n> 0 single [\d.]+ -\n$/);
  journal.begin('bulk');
  t.ok(journal.full);
  t.throws(() => journal.begin('single'), RangeError, 'a full journal takes no further operation');
  journal.close();
});

t.test('everything that a journal holds can be read back from its file', async (t) => {
  const file = join(t.testdir(), 'journal');
  const journal = new Journal(file, 'run', 10);
  const [first, second, third] = [journal.begin('single'), journal.begin('bulk'), journal.begin('unkeyed')];
  journal.end(first, 'acknowledged', { values: [1], replayed: true, again: true });
  journal.beginFault('SIGKILL of a replica');
  journal.end(second, 'unknown');
  journal.end(third, 'unknown', { unexpected: '500 x: y' });
  const [put, gone] = [journal.begin('put', 'missing'), journal.begin('delete', '3')];
  journal.end(put, 'refused', { code: 'busy' });
  journal.end(gone, 'acknowledged');
  journal.locked({ names: ['hot', 'own-9'], startedAt: 1.5, endedAt: 2.5 });
  journal.failedOver({ startedAt: 1.5, endedAt: 2.5 });
  journal.expire([0]);
  journal.read('hot', { startedAt: 1.5, endedAt: 2.5, value: 1 });
  const truth: Truth = {
    counted: new Map([
      [0, [1]],
      [1, [2, 1, 1]],
    ]),
    unsentKeys: ['other'],
    values: new Map([['hot', 2]]),
  };
  journal.truth(truth);
  journal.end(second, 'acknowledged', { values: [2, 1, 1] });
  journal.close();
  const seen: { outcomes: string[]; truth: Truth }[] = [];
  const again = await readJournal(file, (history: History, known) => {
    seen.push({ outcomes: history.operations.map(({ outcome }) => outcome), truth: known });
  });
  t.strictSame(
    seen,
    [{ outcomes: ['acknowledged', 'unknown', 'unknown', 'refused', 'acknowledged'], truth }],
    'the outcomes are those at the time of the reconciliation',
  );
  for (const part of ['faults', 'operations', 'reads', 'locks', 'failovers', 'expired'] as const) {
    t.strictSame(again[part], journal[part], part);
  }
});

t.test('a file that is not a journal is refused', async (t) => {
  const file = join(t.testdir(), 'other');
  for (const text of ['hello\n', '< 7 refused 1 0 - - \n', '> 0 strange 1\n']) {
    writeFileSync(file, text);
    await t.rejects(
      readJournal(file, () => {}),
      TypeError,
      text,
    );
  }
});

const names = (seed: number) => schedule(seeded(seed), 2 * faults.length).map(({ name }) => name);

t.test('the seed determines the order of the faults, and each fault occurs equally often', async (t) => {
  t.strictSame(names(1), names(1));
  t.notSame(names(1), names(2));
  t.strictSame(names(1).toSorted(), [...faults, ...faults].map(({ name }) => name).toSorted());
});
