import Fastify, { type FastifyServerOptions } from 'fastify';
import { Pool } from 'pg';
import t, { type Test } from 'tap';
import { createCounters, Problem } from '../../src/library/index.ts';
import counters, { type CountersPluginOptions } from '../../src/library/fastify.ts';
import { silent, testDatabase } from '../helper.ts';

async function application(t: Test, options: FastifyServerOptions = {}) {
  const pool = new Pool({
    connectionString: await testDatabase(t, { migrated: false }),
    connectionTimeoutMillis: 5000,
  });
  const app = Fastify(options);
  app.addHook('onClose', () => pool.end());
  t.teardown(() => app.close());
  return { app, pool };
}

t.test('the plugin adds the routes and app.counters to an application', async (t) => {
  const { app, pool } = await application(t);
  await app.register(counters, { pool, prefix: '/api' } satisfies CountersPluginOptions);
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

t.test('settings of the application apply to its own routes, and not to those of the counters', async (t) => {
  const { app, pool } = await application(t, { ajv: { customOptions: { coerceTypes: true } } });
  app.setErrorHandler((_error, _request, reply) => void reply.status(418).send({ mine: true }));
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, _body, done) =>
    done(null, 'mine'),
  );
  app.decorate('refusals', 'mine');
  app.setSerializerCompiler(() => (data) => `mine ${JSON.stringify(data)}`);
  app.setValidatorCompiler(() => () => true);
  await app.register(counters, { pool });
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
      const { app, pool } = await application(t);
      const wrap = () => app.setReplySerializer((data) => JSON.stringify({ mine: data }));
      app.addHook('preSerialization', async (_request, _reply, data: object) => ({ ...data, unknown: 1 }));
      if (when === 'before') wrap();
      await app.register(counters, { pool });
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
  const { app, pool } = await application(t);
  app.addHook('onRequest', async (_request, reply) => reply.status(401).send({ mine: true }));
  await app.register(counters, { pool });
  t.equal((await app.inject({ method: 'POST', url: '/counters/likes/increments' })).statusCode, 401);
  t.equal(await app.counters.read('likes'), undefined);
});

t.test('counters that were created before are shared, and closed with the application', async (t) => {
  const { app, pool } = await application(t);
  const made = await createCounters({ pool, warn: silent.warn });
  await app.register(counters, { counters: made });
  t.equal(app.counters, made);
  const open = made.increment('likes', { key: 'the-last-one' });
  await app.close();
  t.match(await open, { value: 1 }, 'the increment in flight is settled before the pool is ended');
});

t.test('while an application closes, each answer closes its connection', async (t) => {
  const { app, pool } = await application(t);
  await app.register(counters, { pool });
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
  const pool = new Pool({ connectionString: 'postgresql://127.0.0.1:1/none' });
  const app = Fastify();
  await t.rejects(async () => await app.register(counters, { pool }), {
    message: 'cannot connect to the database',
  });
});

t.test('an error of a hook of the application is answered as on its own routes', async (t) => {
  const { app, pool } = await application(t);
  app.addHook('onRequest', async (request, reply) => {
    const { status, code, how } = request.query as Record<string, string>;
    if (!status) return;
    if (how === 'reply') reply.code(Number(status));
    const chosen = how === 'reply' ? {} : { [how ?? 'statusCode']: Number(status) };
    throw Object.assign(new Error('mine'), chosen, code === undefined ? {} : { code });
  });
  app.get('/own', async () => 'own');
  await app.register(counters, { pool });
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
  const { app, pool } = await application(t);
  await app.register(counters, { pool });
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
