import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import Fastify, { type FastifyRequest, type FastifyServerOptions } from 'fastify';
import t, { type Test } from 'tap';
import { createCounters, Problem } from '../../src/library/index.ts';
import counters, { type CountersPluginOptions } from '../../src/library/fastify.ts';
import { CHECKOUT, runProgram, silent, testClient, testDatabase, testFolder, until } from '../helper.ts';

async function application(t: Test, options: FastifyServerOptions = {}) {
  const connectionString = await testDatabase(t);
  const app = Fastify(options);
  t.teardown(() => app.close());
  return { app, connectionString };
}

/** The routes, open to every client. */
const OPEN = { onRequest: [] };

t.test('the plugin adds app.counters, and routes below a prefix if asked to', async (t) => {
  const { app, connectionString } = await application(t);
  const options: CountersPluginOptions = { connectionString, routes: { ...OPEN, prefix: '/api' } };
  await app.register(counters, options);
  app.post('/like', () => app.counters.increment('likes'));
  t.same((await app.inject({ method: 'POST', url: '/like' })).json(), {
    value: 1,
    added: 1,
    replayed: false,
  });
  const url = '/api/counters/likes/increments';
  t.same((await app.inject({ method: 'POST', url, body: { by: 2 } })).json(), { name: 'likes', value: 3 });
  t.same((await app.inject({ url: '/api/counters?prefix=li' })).json(), {
    counters: [{ name: 'likes', value: 3 }],
    next: null,
  });
  const put = { method: 'PUT', url: '/api/counters/likes', body: { value: 1, max: 5 } } as const;
  t.match(await app.inject({ ...put, headers: { 'if-match': '"4"' } }), { statusCode: 412 });
  t.match(await app.inject({ ...put, headers: { 'if-match': '"3"' } }), { statusCode: 200 });
  const refused = await app.inject({ method: 'POST', url, body: { by: 5 } });
  t.match(refused, { statusCode: 409, headers: { 'content-type': /problem\+json/ } });
  t.match(refused.json(), { code: 'out_of_bounds', fits: 4 });
  const remove = { method: 'DELETE', url: '/api/counters/likes', headers: { 'if-match': '*' } } as const;
  t.match(await app.inject(remove), { statusCode: 204 });
  t.match(await app.inject({ url: '/api/counters/likes' }), { statusCode: 404 });
  t.match(await app.inject({ url: '/counters/likes' }), { statusCode: 404 });
});

t.test('without the option routes, the plugin opens no route', async (t) => {
  const { app, connectionString } = await application(t);
  const opened: string[] = [];
  app.addHook('onRoute', ({ url }) => void opened.push(url));
  await app.register(counters, { connectionString });
  await app.ready();
  t.same(opened, []);
  t.equal((await app.inject({ method: 'POST', url: '/counters/likes/increments' })).statusCode, 404);
  t.match(await app.counters.increment('likes'), { value: 1 });
});

const hook = async () => {};

t.test('routes need the hook that authenticates: without it, the registration fails', async (t) => {
  const refused: [unknown, RegExp][] = [
    ...[
      {},
      null,
      true,
      { onRequest: undefined },
      { onRequest: 'hook' },
      { onRequest: [hook, undefined] },
    ].map((routes): [unknown, RegExp] => [
      routes,
      /^routes.onRequest is missing: give the hook .*; \[\] opens the routes/,
    ]),
    [{ onRequest: hook, prefix: 5 }, /^routes.prefix is number; allowed: text$/],
    [
      { onRequest: [], preHandler: hook },
      /^there is no option routes.preHandler; allowed: onRequest, prefix$/,
    ],
  ];
  for (const [routes, message] of refused) {
    const options = { connectionString: 'postgresql://127.0.0.1:1/none', routes } as CountersPluginOptions;
    const registered = async () => await Fastify().register(counters, options);
    await t.rejects(registered, { name: 'TypeError', message }, JSON.stringify(routes));
  }
});

/** A hook that refuses requests without the header, as those of applications do. */
const authenticate = async ({ headers }: FastifyRequest) => {
  if (headers.authorization !== 'me') throw Object.assign(new Error('not you'), { statusCode: 401 });
};

t.test('the hook protects every route, also events', async (t) => {
  const { app, connectionString } = await application(t);
  const routes: [string, string][] = [];
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push([one, url]);
  });
  await app.register(counters, { connectionString, routes: { onRequest: authenticate, prefix: '/api' } });
  await app.counters.increment('likes');
  t.same(new Set(routes.map(([, url]) => url)).size, 6);
  for (const [method, path] of routes) {
    const url = path.replace(':name', 'likes').replace(':window', '1h');
    const answer = await app.inject({ method: method as 'GET', url, headers: { 'if-match': '*' } });
    t.equal(answer.statusCode, 401, `${method} ${url}`);
  }
  t.match(await app.counters.read('likes'), { value: 1 });
  const url = '/api/counters/likes/increments';
  const headers = { authorization: 'me' };
  t.same((await app.inject({ method: 'POST', url, headers })).json(), { name: 'likes', value: 2 });
});

t.test('several hooks run one after another, and before the body is read', async (t) => {
  const { app, connectionString } = await application(t);
  const ran: string[] = [];
  await app.register(counters, {
    connectionString,
    routes: {
      onRequest: [
        (_request, _reply, done) => {
          ran.push('first');
          done();
        },
        async (request) => {
          ran.push('second');
          await authenticate(request);
        },
      ],
    },
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const socket = connect((app.server.address() as { port: number }).port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  // The body never comes.
  socket.write(
    'POST /counters/likes/increments HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1.1 401 /);
  t.same(ran, ['first', 'second']);
});

t.test(
  'when an application closes, the connections end, and then its process, without a line for it',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const file = join(await testFolder(t, 'application'), 'app.ts');
    await writeFile(
      file,
      `import Fastify from '${CHECKOUT}/node_modules/fastify/fastify.js';
    import counters from '${CHECKOUT}/src/library/fastify.ts';
    const app = Fastify();
    await app.register(counters, { connectionString: process.env.DATABASE_URL ?? '', routes: { onRequest: [] } });
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    await fetch(url + '/counters/likes/increments', { method: 'POST' });
    const events = await fetch(url + '/counters/likes/events');
    const reading = events.text();
    await app.counters.list();
    await app.close();
    console.log('closed', (await reading).includes('data: '));`,
    );
    const { ended } = runProgram(t, [file], { DATABASE_URL: databaseUrl });
    t.match(await ended, { code: 0, signal: null, stdout: 'closed true\n', stderr: '' });
    const client = await testClient(t, databaseUrl);
    const ours = `select from pg_stat_activity where datname = current_database() and application_name = 'safe_counters'`;
    await until(async () => (await client.query(ours)).rowCount === 0);
  },
);

t.test('settings of the application apply to its own routes, and not to those of the counters', async (t) => {
  const { app, connectionString } = await application(t, { ajv: { customOptions: { coerceTypes: true } } });
  app.setErrorHandler((_error, _request, reply) => void reply.status(418).send({ mine: true }));
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, _body, done) =>
    done(null, 'mine'),
  );
  app.decorate('refusals', 'mine');
  app.setSerializerCompiler(() => (data) => `mine ${JSON.stringify(data)}`);
  app.setValidatorCompiler(() => () => true);
  await app.register(counters, { connectionString, routes: OPEN });
  app.post('/own', { schema: { response: { 200: {} } } }, ({ body }) => Promise.resolve({ body }));
  app.get('/fails', async () => Promise.reject(new Error('mine')));
  const url = '/counters/likes/increments';
  t.same((await app.inject({ method: 'POST', url, body: { by: 2 } })).json(), { name: 'likes', value: 2 });
  const refused = await app.inject({ method: 'POST', url, body: { by: '2' } });
  t.match(refused.json(), {
    code: 'invalid_request',
    status: 400,
    detail: /body field "by" must be integer/,
  });
  t.equal((await app.inject({ method: 'POST', url: '/own', body: {} })).body, 'mine {"body":"mine"}');
  t.equal((await app.inject('/fails')).statusCode, 418);
});

t.test(
  "answers of the routes are serialized by their schemas, and not by the application's serializer",
  async (t) => {
    for (const when of ['never', 'before', 'after']) {
      const { app, connectionString } = await application(t);
      const wrap = () => app.setReplySerializer((data) => JSON.stringify({ mine: data }));
      app.addHook('preSerialization', async (_request, _reply, data: object) => ({ ...data, unknown: 1 }));
      if (when === 'before') wrap();
      await app.register(counters, { connectionString, routes: OPEN });
      if (when === 'after') wrap();
      app.get('/own', async () => ({ own: true }));
      const url = '/counters/likes/increments';
      t.same((await app.inject({ method: 'POST', url })).json(), { name: 'likes', value: 1 }, when);
      t.match((await app.inject('/counters/nothing')).json(), { code: 'not_found' }, when);
      const headers = { 'if-match': '*' };
      t.equal((await app.inject({ method: 'DELETE', url: '/counters/likes', headers })).body, '', when);
      const own = { own: true, unknown: 1 };
      t.same((await app.inject('/own')).json(), when === 'never' ? own : { mine: own });
    }
  },
);

t.test('a hook that the application added before the plugin guards the routes', async (t) => {
  const { app, connectionString } = await application(t);
  app.addHook('onRequest', async (_request, reply) => reply.status(401).send({ mine: true }));
  await app.register(counters, { connectionString, routes: OPEN });
  t.equal((await app.inject({ method: 'POST', url: '/counters/likes/increments' })).statusCode, 401);
  t.equal(await app.counters.read('likes'), undefined);
});

t.test('counters that were created before are shared, and closed with the application', async (t) => {
  const { app, connectionString } = await application(t);
  const made = await createCounters({ connectionString, warn: silent.warn });
  await app.register(counters, { counters: made });
  t.equal(app.counters, made);
  const open = made.increment('likes', { key: 'the-last-one' });
  await app.close();
  t.match(await open, { value: 1 }, 'the increment in flight is settled before the connections end');
});

t.test('while an application closes, each answer closes its connection', async (t) => {
  const { app, connectionString } = await application(t);
  await app.register(counters, { connectionString, routes: OPEN });
  const arrived = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  app.post('/like', async () => {
    arrived.resolve();
    await release.promise;
    return app.counters.increment('likes');
  });
  // Runs after the hook of the plugin, which was added first.
  app.addHook('preClose', async () => release.resolve());
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as { port: number };
  const answer = fetch(`http://127.0.0.1:${port}/like`, { method: 'POST' });
  await arrived.promise;
  const closed = app.close();
  const { headers, status } = await answer;
  t.match({ status, connection: headers.get('connection') }, { status: 200, connection: 'close' });
  await closed;
});

t.test('the registration fails if the database cannot be used', async (t) => {
  const connectionString = 'postgresql://127.0.0.1:1/none';
  await t.rejects(async () => await Fastify().register(counters, { connectionString }), {
    code: 'ECONNREFUSED',
  });
});

t.test('an error of a hook of the application is answered as on its own routes', async (t) => {
  const { app, connectionString } = await application(t);
  app.addHook('onRequest', async (request, reply) => {
    const { status, code, how } = request.query as Record<string, string>;
    if (!status) return;
    if (how === 'reply') reply.code(Number(status));
    const chosen = how === 'reply' ? {} : { [how ?? 'statusCode']: Number(status) };
    throw Object.assign(new Error('mine'), chosen, code === undefined ? {} : { code });
  });
  app.get('/own', async () => 'own');
  await app.register(counters, { connectionString, routes: OPEN });
  const statuses = [401, 402, 403, 404, 409, 429, 502, 503].map(String);
  const others = [
    '401&code=FST_JWT_NO_AUTHORIZATION_IN_HEADER',
    '503&code=FST_UNDER_PRESSURE',
    '401&how=status',
  ];
  for (const status of [...statuses, ...others, '401&how=reply']) {
    const [own, ours] = await Promise.all(
      ['/own', '/counters/likes/increments'].map((url) =>
        app.inject({ method: url === '/own' ? 'GET' : 'POST', url: `${url}?status=${status}` }),
      ),
    );
    t.equal(ours?.statusCode, Number.parseInt(status, 10), status);
    t.equal(ours?.body, own?.body);
  }
});

t.test('a problem that a route of the application throws has its status and Retry-After', async (t) => {
  const { app, connectionString } = await application(t);
  await app.register(counters, { connectionString, routes: OPEN });
  await app.counters.set('tickets', { value: 0, max: 0 }, 'missing');
  app.get('/buy', () => app.counters.increment('tickets'));
  app.get('/limited', () => app.counters.increment('logins', { window: '1d', max: 1 }));
  app.get('/busy', async () => {
    throw new Problem('busy', 'no connection');
  });
  t.match(await app.inject('/buy'), { statusCode: 409, headers: { 'retry-after': undefined } });
  t.match(await app.inject('/limited'), { statusCode: 200 });
  t.match(await app.inject('/limited'), { statusCode: 409, headers: { 'retry-after': /^\d+$/ } });
  t.match(await app.inject('/busy'), { statusCode: 503, headers: { 'retry-after': '1' } });
});
