import t, { type Test } from 'tap';
import type { CounterRequest, IncrementRequest } from '../../src/counters/request.ts';
import { repetitions } from '../pace.ts';
import { answerOf, one, sessionsOn, setUp as setUpReplica, writerOn } from './replica.ts';

const byText = (a: string, b: string) => (a < b ? -1 : 1);

async function setUp(t: Test) {
  const { databaseUrl, client } = await setUpReplica(t);
  const writers = [1, 2].map(() => writerOn(sessionsOn(t, databaseUrl)));
  for (const writer of writers) await writer.submit(one('warm'));
  const create = (name: string, value: number, max: number) =>
    client.query('insert into safe_counters.counters (name, value, max) values ($1, $2, $3)', [
      name,
      value,
      max,
    ]);
  /** Sends the requests to both replicas at the same time. @returns for each request, whether its answers are replays */
  const sendToBoth = async (...requests: CounterRequest[]) => {
    const answers = await Promise.all(
      requests.map((request) => Promise.all(writers.map((writer) => answerOf(writer, request)))),
    );
    return answers.map((both) =>
      both.map((answer) => (typeof answer === 'string' ? answer : String(answer.replayed))).toSorted(byText),
    );
  };
  const valueOf = async (name: string) => {
    const { rows } = await client.query<{ value: number }>(
      'select value::int from safe_counters.counters where name = $1',
      [name],
    );
    return rows[0]?.value;
  };
  return { client, writers, create, sendToBoth, valueOf };
}

const ROUNDS = repetitions(40, 400);

/** A request that takes the last place of a counter, in the forms that are written in different ways. */
const forms: Record<string, (name: string, key: string) => IncrementRequest> = {
  'a plain increment': (name, key) => one(name, 1, key),
  'an increment with its own bound': (name, key) => ({ increments: [{ name, by: 1, max: 1 }], key }),
  'a partial increment': (name, key) => ({ ...one(name, 1, key), partial: true }),
  'a bulk': (name, key) => ({
    increments: [
      { name, by: 1 },
      { name: `beside ${name}`, by: 1 },
    ],
    key,
  }),
};

for (const [form, requestOf] of Object.entries(forms)) {
  t.test(
    `${form} that two replicas receive at the same time, and that makes its counter full, is counted once and replayed once`,
    async (t) => {
      const { create, sendToBoth, valueOf } = await setUp(t);
      for (let round = 0; round < ROUNDS; round += 1) {
        const name = `counter ${round}`;
        await create(name, 0, 1);
        // In every second round, both replicas know that a counter of the batch is full.
        const others = round % 2 === 0 ? [] : [{ increments: [{ name: 'full', by: 1, max: 0 }] }];
        const [outcomes] = await sendToBoth(requestOf(name, `key ${round}`), ...others);
        t.strictSame(outcomes, ['false', 'true']);
        t.equal(await valueOf(name), 1);
      }
    },
  );

  t.test(`${form} that was counted is replayed by two replicas while its counter is full`, async (t) => {
    const { writers, create, sendToBoth, valueOf } = await setUp(t);
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = `counter ${round}`;
      const request = requestOf(name, `key ${round}`);
      await create(name, 0, 1);
      t.match(await writers[round % 2]?.submit(request), { replayed: false });
      const [outcomes, refusals] = await sendToBoth(request, one(name));
      t.strictSame(outcomes, ['true', 'true']);
      t.strictSame(refusals, ['out_of_bounds', 'out_of_bounds']);
      t.equal(await valueOf(name), 1);
    }
  });
}

t.test(
  'of many keys, as many as fit are counted by one of two replicas, and replayed by the other',
  async (t) => {
    const { create, sendToBoth, valueOf } = await setUp(t);
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = `counter ${round}`;
      await create(name, 0, 5);
      const outcomes = await sendToBoth(
        ...Array.from({ length: 12 }, (_, i) => one(name, 1, `key ${round} ${i}`)),
      );
      // A key is either counted, or refused by both.
      for (const both of outcomes)
        t.ok(['false,true', 'out_of_bounds,out_of_bounds'].includes(both.join()), both.join());
      t.equal(outcomes.filter((both) => both.join() === 'false,true').length, 5);
      t.equal(await valueOf(name), 5);
    }
  },
);

t.test(
  'a change that two replicas receive at the same time under one key is made once and replayed once',
  async (t) => {
    const { sendToBoth } = await setUp(t);
    for (let round = 0; round < ROUNDS; round += 1) {
      const [outcomes] = await sendToBoth({
        name: `counter ${round}`,
        change: { value: 3, max: 5 },
        precondition: 'missing',
        key: `key ${round}`,
      });
      t.strictSame(outcomes, ['false', 'true']);
    }
  },
);
