import { Writable } from 'node:stream';
import { pino } from 'pino';
import t from 'tap';
import { Post } from '../../src/likes/post.ts';
import { POSTS, testApp, testClient, testDatabase } from '../helper.ts';

t.test('each request has a separate identity map, and the global one stays empty', async (t) => {
  const databaseUrl = await testDatabase(t);
  const app = await testApp(t, {}, databaseUrl);
  const client = await testClient(t, databaseUrl);
  await app.inject('/inc');
  await client.query(`update ${POSTS} set "like" = 77`);
  t.match((await app.inject('/check')).json(), { like_result: 77 }, 'the value is read from the database');
  const identityMap = app.database.orm.em.getUnitOfWork(false).getIdentityMap();
  t.equal(identityMap.getStore(app.database.orm.getMetadata().get(Post)).size, 0);
  await t.rejects(app.database.orm.em.find(Post, {}), /global EntityManager/);
});

interface Line {
  worker: number;
  backend_pid: number;
  like: number;
  msg: string;
}

t.test('at level debug, the log shows what each worker did and when it held the lock', async (t) => {
  const lines: Line[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Line);
      done();
    },
  });
  const app = await testApp(t, {}, undefined, pino({ level: 'debug' }, stream));
  await app.inject('/2th-plock?increments=5');
  const workerLines = lines.filter(({ worker }) => worker);
  t.strictSame(new Set(workerLines.map(({ worker }) => worker)), new Set([1, 2]));
  t.equal(new Set(workerLines.map(({ backend_pid: pid }) => pid)).size, 2);
  // Like the log in the blog post: acquired with the value before, released with the value after, one worker at a time.
  for (let likes = 0; likes < 10; likes += 1) {
    const acquired = workerLines.find(({ msg, like }) => msg.startsWith('acquired lock') && like === likes);
    const released = workerLines.find(
      ({ msg, like }) => msg.startsWith('released lock') && like === likes + 1,
    );
    t.ok(acquired && acquired.worker === released?.worker, `${likes} → ${likes + 1}`);
  }

  lines.length = 0;
  await app.inject('/2th-olock?workers=8&increments=5');
  t.ok(lines.some(({ msg }) => msg === 'version mismatch'));
  t.ok(lines.some(({ msg }) => msg.startsWith('wrote nothing')));
  t.notOk(lines.some(({ msg }) => msg.includes('lock')));
});
