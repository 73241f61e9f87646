import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { Members } from '../../load-tests/failover-test/cluster/members.ts';
import { Node } from '../../load-tests/failover-test/cluster/node.ts';

/** A node whose Patroni confirms these roles, and reads this list of synchronous standbys from etcd. */
async function fakeNode(t: Test, name: string, roles: readonly string[], inEtcd: () => readonly string[]) {
  const server = createServer((request, response) => {
    if (request.url !== '/cluster') {
      response.writeHead(roles.includes(request.url ?? '') ? 200 : 503).end();
      return;
    }
    const members = ['pg1', 'pg2', 'pg3'].map((member) => ({
      name: member,
      role: inEtcd().includes(member) ? 'sync_standby' : 'replica',
    }));
    response.end(JSON.stringify({ members }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port: rest } = server.address() as AddressInfo;
  const run = { env: {}, log: '/dev/null' } as never;
  const ports = { postgres: 1, rest, peers: 1, etcd: 1, entrance: 1, checks: 1 };
  return new Node('patroni', name, '/nowhere', run, ports, 1);
}

t.test(
  'a synchronous standby is one that etcd names, even if its Patroni confirms an older role',
  async (t) => {
    const looks = [[], [], ['pg2']];
    const inEtcd = () => looks.shift() ?? ['pg2'];
    const nodes = [
      await fakeNode(t, 'pg1', ['/replica', '/sync'], () => []),
      await fakeNode(t, 'pg2', ['/replica'], () => []),
      await fakeNode(t, 'pg3', ['/primary'], inEtcd),
    ];
    const members = new Members(nodes, true, new AbortController().signal);
    t.equal((await members.synchronousStandby()).name, 'pg2');
    t.equal(looks.length, 0, 'it was waited for');
  },
);
