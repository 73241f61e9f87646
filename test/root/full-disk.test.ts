import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { testApp, testFolder, whenOk } from '../helper.ts';
import { ownServer } from '../own-server.ts';

t.test(
  'with a full disk, writes are 503 disk_full and reads work; writes work again when there is room',
  async (t) => {
    const disk = await testFolder(t, 'disk');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=200m,mode=755', 'tmpfs', disk]);
    t.teardown(() => execFileSync('umount', [disk]));
    const { databaseUrl } = await ownServer(t, undefined, disk);
    const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
    const write = (prefix: string) =>
      app.inject({
        method: 'POST',
        url: '/increments',
        payload: Array.from({ length: 1000 }, (_, i) => ({ name: `${prefix} ${i} ${'x'.repeat(150)}` })),
      });
    t.equal((await write('before')).statusCode, 200);
    const { bavail, bsize } = await statfs(disk);
    const filler = join(disk, 'filler');
    writeFileSync(filler, Buffer.alloc(bavail * bsize));

    const refused = await write('full');
    t.match(refused, { statusCode: 503, headers: { 'retry-after': '10' } });
    t.match(refused.json(), { code: 'disk_full', detail: /^the disk of the database is full/ });
    t.equal((await app.inject('/counters?prefix=before')).statusCode, 200);
    const ready = await whenOk(app);
    t.ok(ready.json<{ risks: { risk: string }[] }>().risks.some(({ risk }) => risk === 'disk_full'));
    t.match((await app.inject('/metrics')).body, /^safe_counters_durability_risk\{risk="disk_full"\} 1$/m);

    rmSync(filler);
    const again = await write('full');
    t.equal(again.statusCode, 200);
    t.ok(
      again.json<{ value: number }[]>().every(({ value }) => value === 1),
      'the refused bulk was not counted',
    );
  },
);
