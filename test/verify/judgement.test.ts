import t from 'tap';
import { allHold, judgeAll } from '../../src/verify/judgement.ts';

t.test('a broken claim decides the result, then an inconclusive one', async (t) => {
  t.equal(allHold([{ holds: true }, { holds: null }, { holds: false }]), false);
  t.equal(allHold([{ holds: true }, { holds: null }]), null);
  t.equal(allHold([{ holds: true }, { holds: true }]), true);
});

const failing = (error: Error) => ({
  title: '',
  about: {},
  judge: async () => {
    throw error;
  },
});

t.test('a timeout is inconclusive; any other failure breaks the claim', async (t) => {
  const late = new DOMException('too late', 'TimeoutError');
  const judged = await judgeAll(
    [failing(late), failing(new Error('no such post'))],
    new AbortController().signal,
  );
  t.strictSame(judged, [
    { holds: null, verdict: 'inconclusive: too slow to tell' },
    { holds: false, verdict: 'failed: no such post' },
  ]);
});
