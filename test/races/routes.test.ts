import { text } from 'node:stream/consumers';
import t from 'tap';
import type { TrialResult } from '../../src/races/trial.ts';
import { strategies } from '../../src/strategies/index.ts';
import { POSTS, testApp, testClient, testDatabase, until } from '../helper.ts';
import { untilItLoses } from '../pace.ts';

const databaseUrl = await testDatabase(t);
const app = await testApp(t, {}, databaseUrl);
const names = strategies.map(({ name }) => name);

const posts = async () =>
  (await app.database.orm.em.fork().execute(`select from ${POSTS} where pk > 1`)).length;

/** The broken claims among those of the given kinds. */
const broken = (results: TrialResult[], ...claims: TrialResult['claim'][]) =>
  results
    .filter(({ claim, holds }) => claims.includes(claim) && !holds)
    .map(({ strategy, verdict }) => `${strategy}: ${verdict}`);

const race = (payload: object) => app.inject({ method: 'POST', url: '/races', payload });

t.test('GET /strategies lists the strategies in teaching order', async (t) => {
  const listed = (await app.inject('/strategies')).json<{ name: string }[]>();
  t.strictSame(
    listed.map(({ name }) => name),
    names,
  );
});

t.test('POST /races without a body races all strategies, and every claim holds', async (t) => {
  const race50 = async () => {
    const results = (await app.inject({ method: 'POST', url: '/races' })).json<TrialResult[]>();
    t.strictSame(broken(results, 'exact', 'rejects'), []);
    return results;
  };
  const results = await untilItLoses(race50, (all) => broken(all, 'loses').length === 0);
  t.strictSame(broken(results, 'loses'), []);
  t.strictSame(
    results.map(({ strategy, attempted }) => [strategy, attempted]),
    names.map((name) => [name, 50]),
  );
});

t.test('concurrent races do not affect each other', async (t) => {
  const both = async () => {
    const responses = await Promise.all([
      race({ strategies: ['atomic', 'unsafe'], workers: 4, increments: 20 }),
      race({ strategies: ['pessimistic', 'unsafe'], workers: 4, increments: 20 }),
    ]);
    return responses.map((response) => {
      const [exact, loser] = response.json<TrialResult[]>();
      t.match(exact, { holds: true, final: 80 });
      return loser;
    });
  };
  const losers = await untilItLoses(both, (all) => all.every((loser) => loser?.verdict === 'loses'));
  for (const loser of losers) t.match(loser, { holds: true, verdict: 'loses' });
});

t.test('an invalid race is refused, and the message says what is allowed', async (t) => {
  const cases = [
    [{ strategies: ['magic'] }, /strategies\/0" must be one of unsafe, /],
    [{ strategies: [] }, /fewer than 1/],
    [{ strategies: ['atomic', 'atomic'] }, /duplicate/],
    [{ workers: 65 }, /"workers" must be <= 64/],
    [{ increments: 0 }, /"increments" must be >= 1/],
    [{ workers: 64, increments: 1000 }, /64000; allowed: up to 10000/],
    [{ contenders: 5 }, /unknown field "contenders"/],
  ] as const;
  for (const [payload, detail] of cases) {
    t.match((await race(payload)).json(), { status: 400, code: 'invalid_request', detail });
  }
  t.match((await app.inject('/races/stream?strategies=atomic,magic')).json(), {
    detail: /"magic" is not a strategy/,
  });
  t.match((await app.inject('/races/stream?strategies=atomic,unsafe,atomic')).json(), {
    status: 400,
    detail: /"atomic" is named twice; allowed: each strategy once/,
  });
});

t.test('HEAD runs no race', async (t) => {
  const head = await app.inject({ method: 'HEAD', url: '/races/stream?strategies=atomic&increments=1' });
  t.match(head, { statusCode: 405, headers: { allow: 'GET' } });
});

t.test('the stream sends progress and results live', async (t) => {
  const url = await app.listen({ port: 0 });
  const streamed = async () => {
    const response = await fetch(`${url}/races/stream?strategies=unsafe,atomic&increments=100`);
    t.equal(response.headers.get('content-type'), 'text/event-stream');
    t.equal(response.headers.get('cache-control'), 'no-store');
    t.equal(response.headers.get('x-accel-buffering'), 'no', 'a proxy must not buffer the events');
    const events = (await response.text())
      .trim()
      .split('\n\n')
      .map((event) => /^event: (\w+)\ndata: (.*)$/.exec(event)?.slice(1) as [string, string]);
    const order = events.map(([name]) => name).filter((name, i, all) => name !== all[i - 1]);
    const trial = ['start', 'progress', 'result'];
    t.strictSame(order, ['waiting', ...trial, ...trial, 'end']);
    return events.filter(([name]) => name === 'result').map(([, data]) => JSON.parse(data) as TrialResult);
  };
  const results = await untilItLoses(streamed, ([loser]) => loser?.verdict === 'loses');
  t.match(results, [
    { strategy: 'unsafe', verdict: 'loses' },
    { strategy: 'atomic', final: 200 },
  ]);

  await t.test('a client that disconnects stops its race, and the next race can run', async (t) => {
    const controller = new AbortController();
    const long = await fetch(`${url}/races/stream?strategies=atomic&workers=8&increments=1000`, controller);
    const reader = long.body?.getReader();
    await reader?.read();
    controller.abort();
    t.match((await race({ strategies: ['atomic'], increments: 5 })).json(), [{ holds: true }]);
    await until(async () => (await posts()) === 0);
    t.pass('its post is removed');
  });
});

t.test('a race in progress when the service closes ends with the problem shutting_down', async (t) => {
  const own = await testApp(t);
  const url = await own.listen({ port: 0 });
  const long = fetch(`${url}/races/stream?strategies=pessimistic&workers=10&increments=1000`);
  const body = (await long).body;
  const closed = own.close();
  t.match(body && (await text(body)), /event: problem\ndata: \{"code":"shutting_down"/);
  await closed;
});

t.test('every claim holds over HTTP, with one post each and one increment per request', async (t) => {
  for (const { name, claim } of strategies) {
    const base = `/strategies/${name}/posts`;
    const race20 = async () => {
      const created = await app.inject({ method: 'POST', url: base });
      t.equal(created.statusCode, 201, name);
      const { pk } = created.json<{ pk: number }>();
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => app.inject({ method: 'POST', url: `${base}/${pk}/increments` })),
      );
      t.ok(
        answers.every(({ statusCode }) => statusCode === 200 || (claim === 'rejects' && statusCode === 409)),
        name,
      );
      const acknowledged = answers.filter(({ statusCode }) => statusCode === 200).length;
      const { likes } = (await app.inject(`${base}/${pk}`)).json<{ likes: number }>();
      t.equal((await app.inject({ method: 'DELETE', url: `${base}/${pk}` })).statusCode, 204);
      for (const gone of [`${base}/${pk}/increments`, `${base}/1999999999/increments`]) {
        t.match((await app.inject({ method: 'POST', url: gone })).json(), { code: 'not_found' }, name);
      }
      t.equal((await app.inject({ method: 'DELETE', url: `${base}/${pk}` })).statusCode, 404);
      return acknowledged - likes;
    };
    const lost = await untilItLoses(race20, (likes) => claim !== 'loses' || likes > 0);
    if (claim === 'loses') t.ok(lost > 0, `${name} lost ${lost}`);
    else t.equal(lost, 0, name);
  }
  t.equal((await app.inject({ method: 'POST', url: '/strategies/magic/posts' })).statusCode, 400);
});

t.test('the routes of a strategy accept only posts that were created on request', async (t) => {
  await app.inject('/init');
  const { em } = app.database.orm;
  const [own] = await em.execute<{ pk: number }[]>(`insert into ${POSTS} default values returning pk`);
  for (const pk of [1, own?.pk]) {
    const base = `/strategies/unsafe/posts/${pk}`;
    for (const [method, url] of [
      ['DELETE', base],
      ['POST', `${base}/increments`],
      ['GET', base],
    ] as const) {
      const answer = await app.inject({ method, url });
      t.match(answer.json(), { status: 400, detail: /pk.*>= 1000000000/ }, `${method} ${url}`);
    }
  }
  t.match(await em.execute(`select "like" from ${POSTS} where pk in (1, ?)`, [own?.pk]), [
    { like: 0 },
    { like: 0 },
  ]);
  await em.execute(`delete from ${POSTS} where pk = ?`, [own?.pk]);
});

t.test('the number of requested posts is bounded: the oldest unlocked one is removed', async (t) => {
  const { em } = app.database.orm;
  const first = (await app.inject({ method: 'POST', url: '/strategies/atomic/posts' })).json<{ pk: number }>()
    .pk;
  await em.execute(
    `insert into ${POSTS} (pk) select nextval('${POSTS.replace('posts', 'requested_posts')}') from generate_series(1, 1000)`,
  );
  const client = await testClient(t, databaseUrl);
  await client.query('begin');
  await client.query(`update ${POSTS} set "like" = "like" + 1 where pk = $1`, [first]);
  const create = () => app.inject({ method: 'POST', url: '/strategies/atomic/posts' });
  t.equal((await create()).statusCode, 201);
  const requested = async () =>
    (await em.execute<{ pk: number }[]>(`select pk from ${POSTS} where pk >= 1000000000 order by pk`)).map(
      ({ pk }) => pk,
    );
  const kept = await requested();
  t.strictSame(
    [kept.length, kept[0]],
    [1001, first],
    'the first post is locked by an increment, so the second one was removed',
  );
  await client.query('commit');
  t.equal((await create()).statusCode, 201);
  t.equal((await requested()).length, 1000);
  t.notOk((await requested()).includes(first));
  t.equal((await app.inject(`/strategies/atomic/posts/${first}`)).statusCode, 404);
});
