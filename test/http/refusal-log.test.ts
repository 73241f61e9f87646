import { Writable } from 'node:stream';
import { pino } from 'pino';
import t from 'tap';
import { RefusalLog } from '../../src/http/refusal-log.ts';
import { until } from '../helper.ts';

t.test('a thousand refusals in a second are one log line per code, with a reason and no stack', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  const refusals = new RefusalLog(pino({ base: null }, stream));
  for (let i = 0; i < 1000; i += 1) refusals.add('queue_full');
  refusals.add('busy', new Error('no connection', { cause: new Error('timeout') }));
  // The timer does not keep a process alive; the test does.
  await until(async () => lines.length > 0);
  t.match(lines, [
    {
      level: 40,
      code: 'queue_full',
      count: 1000,
      msg: '1000 requests answered with queue_full within 1000 ms',
    },
    {
      level: 40,
      code: 'busy',
      count: 1,
      reason: 'no connection: timeout',
      msg: '1 request answered with busy within 1000 ms',
    },
  ]);
  t.equal(lines.length, 2);
});
