import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { Proxy } from '../../load-tests/fault-test/network/proxy.ts';
import { testApp, testClient } from '../helper.ts';
import { type OwnServer, ownServer } from '../own-server.ts';
import { PointInTime } from '../point-in-time.ts';

/** Increments the counter through a replica. */
async function like(app: FastifyInstance, key?: string, payload?: object) {
  const headers = key === undefined ? {} : { 'idempotency-key': key };
  const answer = await app.inject({
    method: 'POST',
    url: '/counters/likes/increments',
    headers,
    ...(payload ? { payload } : {}),
  });
  if (answer.statusCode !== 200) throw new Error(answer.body);
  const { value } = answer.json<{ value: number }>();
  return { value, replayed: answer.headers['idempotency-replayed'] === 'true' };
}

/** A replica of the service with a separate network connection to the database. */
async function replica(t: Test, { databaseUrl }: OwnServer) {
  const proxy = new Proxy(Number(new URL(databaseUrl).port));
  await proxy.listen();
  t.teardown(() => proxy.close());
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl.replace(/:\d+\//, `:${proxy.port}/`));
  return {
    like: (key?: string) => like(app, key),
    /** The number of settled lost answers, by outcome. */
    async settled() {
      const { body } = await app.inject('/metrics');
      const lines = body.matchAll(/^safe_counters_lost_answers_total\{outcome="(.*)"\} ([1-9]\d*)$/gm);
      return Object.fromEntries([...lines].map(([, outcome, times]) => [outcome, Number(times)]));
    },
    /** Sends an increment that is committed, and loses its answer. The database is unreachable until `heal`. */
    async likeAndLose(key?: string, payload?: object) {
      const trapped = proxy.trap('hold answer', AbortSignal.timeout(60_000));
      const answer = like(app, key, payload);
      t.equal(await (await trapped).outcome, 'committed');
      proxy.refuse();
      return { answer };
    },
    heal: () => proxy.heal(),
  };
}

async function valueIn(t: Test, { databaseUrl }: OwnServer): Promise<number> {
  const client = await testClient(t, databaseUrl);
  const { rows } = await client.query<{ value: number }>('select value::int from safe_counters.counters');
  return rows[0]?.value ?? 0;
}

t.test(
  'replicas that keep running during a point-in-time restore count each increment once in the restored database',
  async (t) => {
    const server = await ownServer(t);
    const [inFlight, behind, registeredLater] = [
      await replica(t, server),
      await replica(t, server),
      await replica(t, server),
    ];
    t.equal((await inFlight.like()).value, 1);
    const pointInTime = await PointInTime.begin(server);
    t.equal((await inFlight.like('kept')).value, 2);
    t.equal((await behind.like()).value, 3);
    const kept = await inFlight.likeAndLose('lost-before');
    await pointInTime.name('target');

    t.equal((await behind.like()).value, 5);
    t.equal((await behind.like('undone')).value, 6);
    t.equal((await registeredLater.like()).value, 7);
    const unclear = await registeredLater.likeAndLose('unclear');
    // With a bound of its own, it is decided under locks.
    const undone = await behind.likeAndLose(undefined, { max: 1000 });
    t.equal(await valueIn(t, server), 9);
    await pointInTime.restore('target');
    t.equal(await valueIn(t, server), 4, 'increments after the target are undone, acknowledged or not');

    inFlight.heal();
    t.match(await kept.answer, { value: 4 }, 'committed before the target: found, and not counted again');
    t.strictSame(await inFlight.settled(), { applied: 1 });
    behind.heal();
    t.match(await undone.answer, { value: 5 }, 'undone by the restore: counted once');
    t.strictSame(await behind.settled(), { 'not applied': 1 });
    registeredLater.heal();
    await t.rejects(
      unclear.answer,
      /outcome_unknown/,
      'its writer does not exist there, so the outcome is unknown',
    );
    t.match(
      await registeredLater.like('unclear'),
      { value: 6, replayed: false },
      'a retry with its key counts it',
    );

    t.strictSame(await behind.like('kept'), { value: 2, replayed: true });
    t.strictSame(await behind.like('lost-before'), { value: 4, replayed: true });
    t.strictSame(
      await behind.like('undone'),
      { value: 7, replayed: false },
      'its key was undone with its increment',
    );
    for (const [i, one] of [inFlight, behind, registeredLater].entries())
      t.match(await one.like(), { value: 8 + i });
    t.equal(await valueIn(t, server), 10);
  },
);
