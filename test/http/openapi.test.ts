import { Ajv } from 'ajv';
import t from 'tap';
import { endpoints } from '../../src/posts/endpoints.ts';
import { testApp, whenOk } from '../helper.ts';

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema: { pattern?: string } }[];
  requestBody?: { required?: boolean; content: Record<string, { schema: ObjectSchema }> };
  summary?: string;
  tags?: string[];
  operationId?: string;
  responses: Record<
    string,
    { $ref?: string; content?: Record<string, { schema: { example?: unknown }; example?: unknown }> }
  >;
}

interface ObjectSchema {
  required?: string[];
  properties?: Record<string, object>;
}

const app = await testApp(t);
const document = (await app.inject('/docs/json')).json<{
  openapi: string;
  servers: unknown;
  paths: Record<string, Record<string, Operation>>;
}>();

t.test('every served route is described, with its methods', async (t) => {
  t.match(document, { openapi: '3.1.0', servers: [{ url: '/' }] });
  const operations = ['/health/live', '/health/ready', '/problems'];
  const counters = ['', '/{name}', '/{name}/events', '/{name}/increments', '/{name}/windows/{window}'].map(
    (path) => `/counters${path}`,
  );
  const demos = ['/strategies', '/races', '/races/stream'];
  const posts = ['', '/{pk}', '/{pk}/increments'].map((path) => `/strategies/{strategy}/posts${path}`);
  const seeds = ['/init', '/check', ...endpoints.map(({ path }) => path)];
  const laboratories = ['/labs', '/labs/{lab}', '/labs/{lab}/{experiment}'];
  t.strictSame(
    Object.keys(document.paths).toSorted(),
    [...operations, ...counters, '/increments', ...seeds, ...demos, ...posts, ...laboratories].toSorted(),
  );
  for (const path of seeds)
    t.strictSame(Object.keys(document.paths[path] ?? {}).toSorted(), ['get', 'post'], path);
});

t.test(
  'every operation has a summary, a tag, a described problem, and an example that fits its schema',
  async (t) => {
    const ajv = new Ajv({ strict: false });
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const name = `${method} ${path}`;
        t.ok(operation.summary, name);
        t.ok(operation.tags?.length, name);
        t.match(operation.responses, { default: { $ref: String }, 400: { $ref: String } }, name);
        const [status, success] =
          Object.entries(operation.responses).find(([code]) => code.startsWith('2')) ?? [];
        t.ok(success, name);
        if (status === '204') continue;
        for (const [type, { schema, example = schema.example }] of Object.entries(success?.content ?? {})) {
          t.ok(example, `${name} has an example of ${type}`);
          t.ok(ajv.validate(schema, example), `${name}: ${ajv.errorsText()}`);
        }
      }
    }
  },
);

t.test('parameters with a default and optional bodies are not marked as required', async (t) => {
  const optional: string[] = [];
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { parameters = [], requestBody }] of Object.entries(operations)) {
      for (const { name, in: place, required = false, schema } of parameters) {
        const must = place === 'path' || !('default' in schema);
        if (required) t.ok(must, `${method} ${path} ${name}`);
        if (place === 'path') t.ok(required, `${method} ${path} ${name}`);
      }
      const { required = [], properties = {} } = requestBody?.content['application/json']?.schema ?? {};
      for (const name of required)
        t.notOk('default' in (properties[name] ?? {}), `${method} ${path} ${name}`);
      if (requestBody && !requestBody.required) optional.push(path);
    }
  }
  t.strictSame(optional.toSorted(), ['/counters/{name}/increments', '/races']);
  for (const path of optional) {
    t.equal((await app.inject({ method: 'POST', url: path.replace(/\{.*\}/, 'x') })).statusCode, 200, path);
  }
});

t.test('an operation documents exactly the problems that it can answer, with their codes', async (t) => {
  const statuses = (method: string, path: string) =>
    Object.keys(document.paths[path]?.[method]?.responses ?? {}).join(' ');
  t.equal(statuses('get', '/problems'), '200 400 503 default');
  t.equal(statuses('get', '/counters/{name}'), '200 304 400 404 503 default');
  t.equal(statuses('put', '/counters/{name}'), '200 201 400 403 409 412 413 415 422 428 503 504 default');
  t.equal(statuses('get', '/init'), '200 400 403 409 503 504 default');
  const bulk = document.paths['/increments']?.post?.responses['422'];
  t.match(bulk, { $ref: '#/components/responses/key_reused-or-out_of_range' });
  // A path whose name is too long has no route.
  const one = document.paths['/counters/{name}']?.get?.responses['404'];
  t.match(one, { $ref: '#/components/responses/not_found-or-route_not_found' });

  const limited = await testApp(t, { DEMO_RATE_LIMIT: '10', API_TOKEN: 'a-token-of-the-tests' });
  const { paths } = (await limited.inject('/docs/json')).json<typeof document>();
  t.match(paths['/races']?.post?.responses, { 401: { $ref: String }, 429: { $ref: String } });
  t.notOk(paths['/increments']?.post?.responses['429']);
  t.notOk(paths['/counters']?.get?.responses['401']);
});

t.test(
  'the pattern of a name means the same with and without Unicode mode (Swagger UI does not use it)',
  async (t) => {
    const parameters = document.paths['/counters/{name}']?.get?.parameters ?? [];
    const pattern = parameters.find(({ name }) => name === 'name')?.schema.pattern ?? '';
    const names = [
      'likes',
      '좋아요',
      '👍🏽',
      'a b',
      '',
      'a\nb',
      '\u0085',
      '\ud83d',
      'a\udc4d',
      '\udc4d\ud83d',
    ];
    for (const flags of ['u', '']) {
      const accepted = names.filter((name) => new RegExp(pattern, flags).test(name));
      t.strictSame(accepted, ['likes', '좋아요', '👍🏽', 'a b'], `with the flags "${flags}"`);
    }
  },
);

t.test('the document has a stable ETag, and is not sent again to a client that has it', async (t) => {
  for (const [path, type] of [
    ['/docs/json', /^application\/json/],
    ['/docs/yaml', /^application\/yaml/],
  ] as const) {
    const first = await app.inject(path);
    t.match(first, { statusCode: 200, headers: { 'content-type': type, etag: /^"[\w-]{22}"$/ } });
    t.match((await app.inject(path)).headers, { etag: first.headers.etag });
    const headers = { 'if-none-match': String(first.headers.etag) };
    t.match(await app.inject({ url: path, headers }), { statusCode: 304, body: '' });
  }
});

const shape = (value: unknown) => Object.keys((Array.isArray(value) ? value[0] : value) as object).toSorted();

t.test('an answer has the fields of its example', async (t) => {
  for (const [path, { get }] of Object.entries(document.paths)) {
    const json = get?.responses['200']?.content?.['application/json'];
    if (json && !path.includes('{')) {
      t.strictSame(shape((await whenOk(app, path)).json()), shape(json.example), path);
    }
  }
});

t.test(
  'Swagger UI is served, needs no other host and no inline script, and runs under the security headers',
  async (t) => {
    const page = await app.inject('/docs/');
    t.equal(page.statusCode, 200);
    t.match(page.headers['content-security-policy'], /script-src 'self';/);
    t.notMatch(page.headers['content-security-policy'], /upgrade-insecure-requests/);
    t.notMatch(page.body, /<script>|https?:\/\//);
    for (const [, source] of page.body.matchAll(/(?:src|href)="([^"]+)"/g)) {
      t.equal(
        (await app.inject(new URL(source ?? '', 'http://host/docs/').pathname)).statusCode,
        200,
        String(source),
      );
    }
  },
);

t.test('without the demonstrations there is no page, and the root redirects to the docs', async (t) => {
  const bare = await testApp(t, { DEMOS: 'false' });
  t.match(await bare.inject('/'), { statusCode: 302, headers: { location: '/docs' } });
  t.equal((await bare.inject('/page/main.js')).statusCode, 404);
});

t.test('without the demonstrations, the document has only the tags that it uses', async (t) => {
  const production = await testApp(t, { DEMOS: 'false' });
  const { tags } = (await production.inject('/docs/json')).json<{ tags: { name: string }[] }>();
  t.same(
    tags.map(({ name }) => name),
    ['Counters', 'Operations'],
  );
});
