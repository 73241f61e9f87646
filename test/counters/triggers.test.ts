import t from 'tap';
import type { CounterRequest } from '../../src/counters/request.ts';
import { bulk, one, setUp, valuesIn, writerOn } from './replica.ts';

t.test('a request with a row that a trigger skips fails, and nothing of it is counted', async (t) => {
  const { sessions, client } = await setUp(t);
  await client.query(
    `create function skip() returns trigger language plpgsql as 'begin return null; end';
     create trigger skip before insert or update on safe_counters.counters
       for each row when (new.name = 'skipped') execute function skip();
     create trigger skip before insert on safe_counters.idempotency_keys
       for each row when (new.answer ->> 'value' = '7') execute function skip()`,
  );
  const writer = writerOn(sessions);
  const requests: Record<string, CounterRequest> = {
    'of one row': one('skipped'),
    'with a key': one('skipped', 1, 'key'),
    'of several rows': bulk('beside', 'skipped'),
    'with bounds': { increments: [{ name: 'skipped', by: 1, max: 9 }] },
    'with bounds, whose key is skipped': { increments: [{ name: 'beside', by: 7, max: 9 }], key: 'other' },
    'to change it': { name: 'skipped', change: { value: 3 }, precondition: 'missing' },
  };
  for (const [what, request] of Object.entries(requests))
    await t.rejects(writer.submit(request), /safe_counters: rows written|does a trigger skip rows/, what);
  t.strictSame(await valuesIn(client), {});
  t.match(await writer.submit(one('beside')), { values: [1] });
});
