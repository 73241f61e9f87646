import { randomUUID } from 'node:crypto';
import { HttpConnection } from './connection.ts';
import type { Load, Seen } from './load.ts';
import { closedLoop, openLoop } from './loops.ts';
import { Tally } from './tally.ts';

/** A separate process, so that neither the benchmark nor the service delays its clock. */
process.on('message', (load: Load) => {
  void offer(load).then(
    (seen) => process.send?.({ seen }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});

async function offer({ url, paths, keyed, body = '', connections, ms, arrivals }: Load): Promise<Seen> {
  const heads = paths.map(
    (path) =>
      `POST ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\ncontent-length: ${body.length}\r\n` +
      (body ? 'content-type: application/json\r\n' : ''),
  );
  let sent = 0;
  const request = () => {
    const head = heads[sent % heads.length] ?? '';
    sent += 1;
    return `${head}${keyed ? `idempotency-key: ${randomUUID()}\r\n` : ''}\r\n${body}`;
  };
  const all = await Promise.all(Array.from({ length: connections }, () => new HttpConnection(url).open()));
  const tally = new Tally(ms);
  if (arrivals) await openLoop(all, request, tally, arrivals);
  else await closedLoop(all, request, tally);
  for (const connection of all) connection.close();
  return tally.seen();
}
