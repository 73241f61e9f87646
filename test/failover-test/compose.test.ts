import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { patroniConfig } from '../../load-tests/failover-test/cluster/patroni-config.ts';
import { HAPROXY } from '../../load-tests/failover-test/timing.ts';
import { variables } from '../../src/config.ts';
import { CHECKOUT } from '../helper.ts';

interface Service {
  environment?: Record<string, string | null>;
  networks?: string[];
  ports?: string[];
}

const read = (file: string) => readFile(join(CHECKOUT, file), 'utf8');

const servicesOf = async (file: string) =>
  (parse(await read(file), { merge: true }) as { services: Record<string, Service> }).services;

t.test('the cluster of docker-compose.ha.yml has the settings of the failover test', async (t) => {
  const { bootstrap, etcd } = parse(await read('docker/ha/patroni.yml')) as {
    bootstrap: { dcs: unknown; initdb: unknown };
    etcd: unknown;
  };
  const ports = { postgres: 1, rest: 2, peers: 3, etcd: 4 };
  const tested = patroniConfig({ name: 'db1', folder: '/f', bin: '/b', synchronous: true, ports });
  t.strictSame(bootstrap.dcs, tested.bootstrap.dcs);
  t.strictSame(bootstrap.initdb, tested.bootstrap.initdb);
  t.strictSame(etcd, { hosts: 'etcd:2379' }, 'uses the v2 protocol');
  const { interMs, fall, rise } = HAPROXY;
  t.match(
    await read('docker/ha/haproxy.cfg'),
    `inter ${interMs}ms fastinter 250ms fall ${fall} rise ${rise} on-marked-down shutdown-sessions`,
  );
});

t.test('docker-compose.ha.yml publishes one loopback port and bounds each container', async (t) => {
  const services = await servicesOf('docker-compose.ha.yml');
  t.strictSame(Object.keys(services), ['etcd', 'db1', 'db2', 'db3', 'haproxy', 'app']);
  for (const [name, service] of Object.entries(services)) {
    t.strictSame(service.ports, name === 'haproxy' ? ['127.0.0.1:3000:3000'] : undefined, name);
    t.match(
      service,
      {
        restart: 'unless-stopped',
        read_only: true,
        cap_drop: ['ALL'],
        pids_limit: Number,
        mem_limit: String,
        logging: { options: { 'max-size': String } },
      },
      name,
    );
  }
  t.strictSame(services['app']?.networks, ['service'], 'the service reaches neither etcd nor Patroni');
});

const variablesIn = async (file: string) =>
  Object.keys((await servicesOf(file))['app']?.environment ?? {}).toSorted();

/** Variables that the image sets, or that concern what a container does not have. */
const NOT_PASSED = new Set(['DATABASE_REPLICA_URLS', 'DATA_DIR', 'HOST', 'PORT', 'REDIS_URL']);

t.test('both compose files pass every variable of the service that concerns a container', async (t) => {
  const passed = variables.map(({ name }) => name).filter((name) => !NOT_PASSED.has(name));
  for (const file of ['docker-compose.ha.yml', 'docker-compose.yml'])
    t.strictSame(await variablesIn(file), [...passed, 'PGPASSWORD'].toSorted(), file);
});
