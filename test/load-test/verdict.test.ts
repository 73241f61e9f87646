import t from 'tap';
import { judge } from '../../load-tests/load-test/verdict.ts';

const seen = { likes: 100, acknowledged: 100, open: 0, late: 0, conflicts: 0, contention: 8 };

t.test('exact holds when every acknowledged increment is counted', async (t) => {
  t.match(judge('exact', seen), { holds: true, verdict: 'exact' });
  t.match(judge('exact', { ...seen, likes: 99 }), { holds: false, verdict: 'LOST 1' });
});

t.test('more likes than increments break every claim', async (t) => {
  for (const claim of ['exact', 'rejects', 'loses'] as const) {
    t.match(judge(claim, { ...seen, likes: 101 }), { holds: false, verdict: '1 too many' });
  }
});

t.test('an increment without an answer may or may not be counted', async (t) => {
  t.match(judge('exact', { ...seen, likes: 105, open: 10 }), { holds: true, verdict: /within bounds/ });
  t.match(judge('exact', { ...seen, likes: 111, open: 10 }), { holds: false, verdict: '1 too many' });
  t.match(judge('exact', { ...seen, likes: 99, open: 10 }), { holds: false, verdict: 'LOST 1' });
});

t.test('a claim to lose or to reject is broken when nothing is lost or rejected', async (t) => {
  t.match(judge('loses', { ...seen, likes: 60 }), { holds: true, verdict: /40/ });
  t.match(judge('loses', seen), { holds: false });
  t.match(judge('rejects', { ...seen, conflicts: 7 }), { holds: true, verdict: /7 conflicts/ });
  t.match(judge('rejects', seen), { holds: false });
  t.match(judge('rejects', { ...seen, conflicts: 7, likes: 99 }), { holds: false, verdict: 'LOST 1' });
});

t.test('increments that timed out make the result inconclusive, unless it is already wrong', async (t) => {
  const late = { ...seen, acknowledged: 90, likes: 90, open: 10, late: 10 };
  for (const claim of ['exact', 'rejects', 'loses'] as const) {
    t.match(judge(claim, late), { holds: null, verdict: 'inconclusive: too slow to tell, 10 timed out' });
    t.match(judge(claim, { ...late, acknowledged: 0, likes: 0 }), { holds: null });
    t.match(judge(claim, { ...late, likes: 101 }), { holds: false, verdict: '1 too many' });
  }
  t.match(judge('exact', { ...late, likes: 89 }), { holds: false, verdict: 'LOST 1' });
  t.match(judge('loses', { ...late, likes: 89 }), { holds: true });
});

t.test('a claim does not hold if nothing was acknowledged', async (t) => {
  t.match(judge('exact', { ...seen, likes: 0, acknowledged: 0, open: 100 }), { holds: false });
});

t.test('a single caller loses and refuses nothing, whatever the claim', async (t) => {
  for (const claim of ['exact', 'rejects', 'loses'] as const) {
    t.match(judge(claim, { ...seen, contention: 1 }), { holds: true, verdict: 'exact' });
  }
});
