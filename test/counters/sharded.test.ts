import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { freePort } from '../../src/embedded-postgres/server.ts';
import { endInEmergency } from '../emergency.ts';
import { CHECKOUT, testApp, testFolder, until } from '../helper.ts';

const HAPROXY = '/usr/sbin/haproxy';
const skip = !existsSync(HAPROXY) && `there is no ${HAPROXY}`;

/** Starts HAProxy in front of these services, with the configuration in docs/scale.md; resolves with its address. */
async function shardedBy(t: Test, services: string[]): Promise<string> {
  const page = await readFile(join(CHECKOUT, 'docs/scale.md'), 'utf8');
  const [, documented = ''] = /```haproxy\n([^`]*)```/.exec(page) ?? [];
  const port = await freePort();
  const addresses = services.map((service) => new URL(service).host);
  const configuration = documented
    .replace(/bind \S+/, `bind 127.0.0.1:${port}`)
    .replaceAll(
      /^( +server )(\S+) \S+/gm,
      (_, head: string, name: string) => `${head}${name} ${addresses.shift()}`,
    );
  t.equal(addresses.length, 0, 'the configuration has one server line for each service');
  const file = join(await testFolder(t, 'haproxy'), 'haproxy.cfg');
  await writeFile(file, configuration);
  const child = spawn(HAPROXY, ['-db', '-f', file], { cwd: '/', stdio: 'ignore' });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  endInEmergency(t, child);
  const url = `http://127.0.0.1:${port}`;
  await until(() =>
    fetch(`${url}/counters/ready`).then(
      ({ status }) => status === 404,
      () => false,
    ),
  );
  return url;
}

t.test(
  'with two databases, each counter is in one of them, however its name is encoded',
  { skip },
  async (t) => {
    const services: string[] = [];
    for (let i = 0; i < 2; i += 1) {
      const app = await testApp(t, { DEMOS: 'false' });
      services.push(await app.listen({ port: 0, host: '127.0.0.1' }));
    }
    const url = await shardedBy(t, services);
    const add = async (name: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${url}/counters/${name}/increments`, { method: 'POST', headers });
      return [response.status, ((await response.json()) as { value: number }).value];
    };
    const statusesOf = async (name: string) =>
      Promise.all(services.map(async (service) => (await fetch(`${service}/counters/${name}`)).status));

    const names = Array.from({ length: 16 }, (_, i) => `likes-${i}`);
    for (const name of names) t.strictSame(await add(name), [200, 1]);
    const places = await Promise.all(names.map(statusesOf));
    t.ok(
      places.every((place) => place.includes(200) && place.includes(404)),
      'each counter is in one database',
    );
    t.equal(new Set(places.map((place) => place.join())).size, 2, 'both databases have counters');

    for (const [i, name] of ['l%69kes-0', 'likes%2D0', 'likes%2d0'].entries())
      t.strictSame(await add(name), [200, i + 2]);
    const key = { 'idempotency-key': 'k' };
    t.strictSame(
      [await add('likes-1', key), await add('l%69kes-1', key)],
      [
        [200, 2],
        [200, 2],
      ],
      'a key counts once, however the name is encoded',
    );

    for (const [method, path] of [
      ['POST', '/increments'],
      ['GET', '/counters?prefix=l'],
    ] as const) {
      const refused = await fetch(url + path, { method });
      t.strictSame([refused.status, refused.headers.get('content-type')], [421, 'application/problem+json']);
    }
  },
);
