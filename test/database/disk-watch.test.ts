import t from 'tap';
import { DiskWatch } from '../../src/database/disk-watch.ts';

t.test('a full disk is reported for a while, and other errors are not mistaken for it', async (t) => {
  const disk = new DiskWatch();
  t.notOk(disk.isFull);
  disk.note(Object.assign(new Error('no such table'), { code: '42P01' }));
  t.notOk(disk.isFull);
  disk.note(Object.assign(new Error('could not extend file'), { code: '53100' }));
  t.ok(disk.isFull);
  const expired = new DiskWatch(0);
  expired.note(Object.assign(new Error('could not extend file'), { code: '53100' }));
  t.notOk(expired.isFull);
});
