import assert from 'node:assert/strict';
import t from 'tap';
import {
  decide,
  type KnownRequest,
  replay,
  type RowState,
  type StoredAnswer,
} from '../../src/counters/decide.ts';
import {
  type Answer,
  type CounterRequest,
  type PendingRequest,
  pendingOf,
} from '../../src/counters/request.ts';
import { idOf, type Row } from '../../src/counters/row.ts';
import { Problem } from '../../src/errors/problem.ts';
import { fc } from '../property.ts';
import { anyLoad } from './any-request.ts';
import { BoundsModel, type ModelOutcome, type ModelRow } from './bounds-model.ts';
import { placeOfRow, rowOf } from './model-rows.ts';

const NOW = Date.parse('2030-05-05T10:30:30Z');
t.intercept(Date, 'now', { value: () => NOW });

/** The rows of the model, by their identity. */
const statesOf = (rows: ReadonlyMap<string, ModelRow>): Map<string, RowState> =>
  new Map([...rows].map(([place, row]) => [idOf(rowOf(place, NOW)), row]));

const outcomeOf = (outcome: Answer | Error): ModelOutcome => {
  if (!(outcome instanceof Error)) return { ...outcome };
  if (!(outcome instanceof Problem)) throw outcome;
  const { code, members, retryAfterS } = outcome;
  return { code, ...members, ...(retryAfterS === undefined ? {} : { later: true }) };
};

/** What was known of a key before: the answer to the request of the batch, or to another one, with these numbers. */
const anyKnown = fc.record({
  isSame: fc.boolean(),
  isOld: fc.boolean(),
  numbers: fc.array(fc.integer(), { minLength: 4, maxLength: 4 }),
  expiresAt: fc.constantFrom(null, NOW),
});
type Known = typeof anyKnown extends fc.Arbitrary<infer T> ? T : never;

const old = (values: (number | null)[]) => ({ values }) as StoredAnswer;

/** An answer to a request, and how this version, or an earlier one, stored it. */
function answered(
  request: CounterRequest,
  { numbers, isOld, expiresAt }: Known,
): { outcome: ModelOutcome; stored: StoredAnswer } {
  const [first, second, third, fourth] = numbers as [number, number, number, number];
  if ('change' in request) {
    const state = {
      value: first,
      min: second,
      max: third,
      expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    };
    const outcome = { state, replaced: fourth };
    return { outcome, stored: isOld ? old([first, second, third, fourth, expiresAt]) : outcome };
  }
  const { increments, partial } = request;
  const values = increments.map((_, i) => first + i);
  if (partial) {
    const stored = isOld ? old([first, second]) : { value: first, added: second };
    return { outcome: { values, added: second }, stored };
  }
  return { outcome: { values }, stored: isOld || values.length > 1 ? old(values) : { value: first } };
}

const another = pendingOf({ increments: [{ name: 'another', by: 1 }], key: 'any' });

/** What is known of the keys of requests; the model knows it, too. */
function knownOf(pending: readonly PendingRequest[], some: ReadonlyMap<string, Known>, model: BoundsModel) {
  const known = new Map<string, KnownRequest>();
  for (const { sent, key, fingerprint } of pending) {
    const of = some.get(sent.key ?? '');
    if (sent.key === undefined || !key || !fingerprint || !of) continue;
    const { outcome, stored } = answered(sent, of);
    model.know(sent.key, of.isSame ? sent : another.sent, outcome);
    // As it arrives from the database.
    const answer = JSON.parse(JSON.stringify(stored)) as StoredAnswer;
    known.set(key, { request: of.isSame ? fingerprint : (another.fingerprint as string), answer });
  }
  return known;
}

const expiryOf = ({ keptMs }: Pick<Row, 'keptMs'>) => (keptMs === 0 ? null : NOW + keptMs);

const newExpiryOf = (place: string) => expiryOf(rowOf(place, NOW));

const anyKnowns = fc
  .dictionary(fc.integer({ min: 0, max: 8 }).map(String), anyKnown)
  .map((each) => new Map(Object.entries(each)));

/** The kinds of outcomes that the property has to reach. */
const KINDS = [
  'added',
  'added before',
  'partial',
  'partial before',
  'set',
  'set before',
  'deleted',
  'key_reused',
  'out_of_bounds',
  'out_of_bounds until the next window',
  'out_of_range',
  'precondition_failed',
];

t.test('a batch is decided as its requests one after another', async (t) => {
  const reached: Record<string, number> = {};
  fc.assert(
    fc.property(anyLoad({ batchesMax: 1, requestsMax: 12 }), anyKnowns, ({ rows, batches }, knowns) => {
      const model = new BoundsModel(NOW, newExpiryOf);
      for (const [place, row] of rows) model.rows.set(place, row);
      const [requests = []] = batches;
      const pending = requests.map(pendingOf);
      const known = knownOf(pending, knowns, model);
      const { outcomes, changed, kept } = decide(pending, {
        now: NOW,
        states: statesOf(rows),
        known,
        expiryOf,
      });
      const expected = requests.map((request) => model.submit(request));
      assert.deepEqual(outcomes.map(outcomeOf), expected);

      assert.deepEqual(new Set([...changed.values()].map(({ row }) => placeOfRow(row))), model.touched);
      for (const [id, { row, state }] of changed) {
        assert.equal(id, idOf(row));
        const exists = state && (state.expiresAt === null || state.expiresAt > NOW);
        assert.deepEqual(exists ? state : undefined, model.rows.get(placeOfRow(row)));
      }

      const applied = pending.filter(
        ({ key }, i) => key && !known.has(key) && !('code' in (expected[i] ?? {})),
      );
      assert.deepEqual(
        kept.map(({ key, request }) => [key, request]),
        applied.map(({ key, fingerprint }) => [key, fingerprint]),
      );
      for (const [i, { request, answer }] of kept.entries()) {
        const one = applied[i] as PendingRequest;
        const stored = JSON.parse(JSON.stringify(answer)) as StoredAnswer;
        const again = replay(one, { request, answer: stored });
        assert.deepEqual(outcomeOf(again), { ...expected[pending.indexOf(one)], replayed: true });
      }
      for (const outcome of expected) {
        const { code, later, state, added, values, replayed } = outcome;
        const kind = state ? 'set' : added !== undefined ? 'partial' : values ? 'added' : 'deleted';
        const key = `${(code as string) ?? kind}${later ? ' until the next window' : ''}${replayed ? ' before' : ''}`;
        reached[key] = (reached[key] ?? 0) + 1;
      }
    }),
    { numRuns: 1000 },
  );
  for (const kind of KINDS) t.ok((reached[kind] ?? 0) > 5, `${kind}: ${reached[kind]} requests`);
});
