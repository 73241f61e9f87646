import t from 'tap';
import type { CounterRequest } from '../../src/counters/request.ts';
import { answerOf, one, outcomeOf, setUp, valuesIn, writerOn } from './replica.ts';

/** Skips the rows whose names begin with `skipped`, as a trigger of a tenant that was locked may do. */
const triggerBefore = (events: string) => `
  create or replace function skip() returns trigger language plpgsql as $$
    begin return case when coalesce(new.name, old.name) like 'skipped%' then null when tg_op = 'DELETE' then old else new end; end $$;
  create trigger skip before ${events} on safe_counters.counters for each row execute function skip()`;

const deletionOf = (name: string): CounterRequest => ({ name, change: undefined, precondition: 'exists' });

for (const events of ['insert', 'update', 'insert or update or delete'])
  t.test(
    `if a trigger before ${events} skips rows, no request for them is acknowledged, and all others are answered`,
    async (t) => {
      const { client, sessions } = await setUp(t);
      const existing = ['a', 'm', 'skipped before', 'z'];
      await client.query('insert into safe_counters.counters (name, value) select unnest($1::text[]), 10', [
        existing,
      ]);
      await client.query(triggerBefore(events));
      const writer = writerOn(sessions);
      const values = async () => {
        const all = await valuesIn(client);
        return Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith('skipped')));
      };
      const skippedBefore = async () => (await valuesIn(client))['skipped before'];
      let expected: Record<string, number> = { a: 10, m: 10, z: 10 };
      /** Whether a trigger before insert sees the row, which it does even if the row exists. */
      const skips = (name: string) => events !== 'update' || name === 'skipped before';
      for (const own of [{}, { max: 1000 }])
        for (const name of ['skipped before', 'skipped new'])
          for (const key of [undefined, `${JSON.stringify(own)} ${name}`]) {
            if (!skips(name)) continue;
            const requestOf = (to: string) => ({ increments: [{ name: to, by: 3, ...own }] });
            const outcomes = await Promise.all([
              outcomeOf(writer, requestOf('a')),
              outcomeOf(writer, { ...requestOf(name), key }),
              outcomeOf(writer, requestOf('m')),
              outcomeOf(writer, {
                increments: [...requestOf('m').increments, ...requestOf(name).increments],
              }),
              outcomeOf(writer, { ...requestOf('z'), key: key && `${key} too` }),
            ]);
            expected = Object.fromEntries(Object.entries(expected).map(([each, value]) => [each, value + 3]));
            const [a, skipped, m, both, z] = outcomes;
            t.strictSame([a, m, z], [[expected.a], [expected.m], [expected.z]]);
            t.equal(typeof skipped, 'string', `${name}: ${String(skipped)}`);
            t.equal(typeof both, 'string', `${name}: ${String(both)}`);
            t.strictSame(await values(), expected);
            t.equal(await skippedBefore(), 10);
          }
      const deleted = await Promise.all([
        answerOf(writer, deletionOf('skipped before')),
        answerOf(writer, deletionOf('z')),
      ]);
      t.match(deleted[1], { replaced: expected.z });
      t.equal(await skippedBefore(), events.includes('delete') ? 10 : undefined);
      t.equal(typeof deleted[0] === 'string', (await skippedBefore()) === 10);
      t.strictSame(await outcomeOf(writer, one('a')), [(expected.a ?? 0) + 1]);
    },
  );

t.test(
  'if a trigger skips keys, no request with a key is acknowledged or counted, and the others are',
  async (t) => {
    const { client, sessions } = await setUp(t);
    await client.query(`
    create function skip() returns trigger language plpgsql as 'begin return null; end';
    create trigger skip before insert on safe_counters.idempotency_keys for each row execute function skip()`);
    const writer = writerOn(sessions);
    for (const own of [{}, { max: 1000 }]) {
      const requestOf = (name: string) => ({ increments: [{ name, by: 1, ...own }] });
      const outcomes = await Promise.all([
        outcomeOf(writer, requestOf('a')),
        outcomeOf(writer, { ...requestOf('b'), key: JSON.stringify(own) }),
      ]);
      t.type(outcomes[0], Array);
      t.type(outcomes[1], 'string');
    }
    t.strictSame(await valuesIn(client), { a: 2 });
  },
);
