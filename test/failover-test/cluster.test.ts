import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hostsUrl, serviceUrl } from '../../load-tests/failover-test/cluster/entrance.ts';
import { patroniConfig } from '../../load-tests/failover-test/cluster/patroni-config.ts';
import { steadyPorts } from '../../load-tests/failover-test/cluster/ports.ts';
import { processesOf } from '../../load-tests/failover-test/cluster/processes.ts';
import { findPrograms, requireV2 } from '../../load-tests/failover-test/programs.ts';
import { until } from '../../load-tests/failover-test/waiting.ts';
import { parseAddress } from '../../src/database/address.ts';

t.test('the processes of a folder are those that name it or work in it, and their descendants', async (t) => {
  const all = [
    { pid: 9, parent: 8, command: 'postgres: walreceiver' },
    { pid: 7, parent: 1, command: '/usr/bin/patroni /tmp/run-1/pg1/patroni.yml' },
    { pid: 8, parent: 1, command: 'postgres -D /tmp/run-1/pg1/data' },
    { pid: 10, parent: 9, command: 'a grandchild' },
    { pid: 11, parent: 1, command: 'postgres -D /tmp/run-10/pg1/data' },
    { pid: 12, parent: 1, command: 'postgres -D /tmp/run-1/pg10/data' },
    { pid: 13, parent: 1, command: 'postgres: authentication', folder: '/tmp/run-1/pg1/data' },
    { pid: process.pid, parent: 1, command: 'node --logs /tmp/run-1/pg1/logs' },
  ];
  const pids = (folder: string) =>
    processesOf(all, folder)
      .map(({ pid }) => pid)
      .toSorted((a, b) => a - b);
  t.strictSame(pids('/tmp/run-1/pg1'), [7, 8, 9, 10, 13]);
  t.strictSame(pids('/tmp/run-1'), [7, 8, 9, 10, 12, 13]);
  t.strictSame(pids('/tmp/run-2'), []);
});

t.test('the configuration asks for strict synchronous replication, or for none', async (t) => {
  const ports = { postgres: 1, rest: 2, peers: 3, etcd: 4 };
  const of = (synchronous: boolean) =>
    patroniConfig({ name: 'pg1', folder: '/f', bin: '/b', synchronous, ports });
  for (const synchronous of [true, false]) {
    t.match(of(synchronous).bootstrap.dcs, {
      synchronous_mode: synchronous,
      synchronous_mode_strict: synchronous,
    });
  }
  t.match(
    of(true),
    { etcd: { hosts: ['127.0.0.1:4'], use_proxies: true } },
    'uses the v2 protocol, through the link',
  );
  t.match(of(true).postgresql, { listen: '127.0.0.1:1', connect_address: '127.0.0.1:3' });
});

t.test('ports differ, and are outside the ephemeral range', async (t) => {
  const ports = await steadyPorts(30);
  t.equal(new Set(ports).size, 30);
  t.ok(ports.every((port) => port >= 12_000 && port < 32_768));
});

t.test('one line names what is missing and how to install it', async (t) => {
  const folder = t.testdir();
  const none = {
    message: /^missing: etcd, patroni, patronictl, haproxy, pgbouncer, a PostgreSQL with pg_basebackup; /,
  };
  await t.rejects(findPrograms('', join(folder, 'nowhere')), none);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of [
    'etcd',
    'patroni',
    'patronictl',
    'pgbouncer',
    'postgres',
    'initdb',
    'pg_basebackup',
    'pg_rewind',
  ]) {
    writeFileSync(join(bin, name), '');
    chmodSync(join(bin, name), 0o755);
  }
  const message = 'missing: haproxy; on Debian: apt-get install --no-install-recommends haproxy';
  await t.rejects(findPrograms(bin, bin), { message });
  writeFileSync(join(bin, 'haproxy'), '');
  t.match(await findPrograms(`/nowhere:${bin}`, bin), { haproxy: join(bin, 'haproxy'), postgres: bin });
});

const never = async () => {
  throw new Error('away');
};

t.test('an etcd without the v2 protocol is refused', async (t) => {
  for (const version of ['3.4.23', '3.5.16', 'unknown']) requireV2(version);
  for (const version of ['3.6.0', '4.0.1'])
    t.throws(() => requireV2(version), {
      message: `etcd ${version} has no v2 protocol, which is needed; allowed: etcd 3.4 and 3.5`,
    });
});

t.test('the service finds the primary through a proxy, or by the addresses of all nodes', async (t) => {
  t.match(new URL(serviceUrl(1)), { hostname: '127.0.0.1', port: '1', search: '' });
  const nodes = [1, 2, 3].map((entrance) => ({ ports: { entrance } }));
  const { urls, target } = parseAddress(hostsUrl(nodes));
  t.equal(target, 'read-write');
  t.strictSame(urls, [1, 2, 3].map(serviceUrl));
});

t.test('a wait ends with its result, at its time limit, or with the run', async (t) => {
  const { signal } = new AbortController();
  let looks = 0;
  const third = async () => {
    looks += 1;
    if (looks === 1) throw new Error('not there yet');
    return looks === 3 && 'found';
  };
  t.equal(await until('it', third, { msMax: 60_000, signal }), 'found');
  await t.rejects(until('it', never, { msMax: 1, signal }), {
    message: 'waited 1 ms for it',
    cause: { message: 'away' },
  });
  const over = AbortSignal.abort(new Error('interrupted'));
  await t.rejects(until('it', never, { msMax: 60_000, signal: over }), { message: 'interrupted' });
});
