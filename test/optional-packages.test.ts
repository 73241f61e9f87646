import t from 'tap';
import { runProgram, startService, testDatabase } from './helper.ts';

/** The environment of a program on a terminal in which Node cannot resolve the package, as if it were not installed. */
function without(name: string): NodeJS.ProcessEnv {
  const script = `
    import { registerHooks } from 'node:module';
    process.stdout.isTTY = true;
    registerHooks({
      resolve(specifier, context, next) {
        return next(specifier === '${name}' ? 'missing-package' : specifier, context);
      },
    });`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}

t.test('REDIS_URL without its client package ends the start with one clear line, exit code 1', async (t) => {
  const env = { DATABASE_URL: await testDatabase(t), PORT: '0', ...without('@keyv/redis') };
  const { ended } = runProgram(t, ['src/server.ts'], { ...env, REDIS_URL: 'redis://127.0.0.1:1' });
  const { code, stderr } = await ended;
  t.equal(code, 1);
  t.match(stderr.trimEnd(), /^REDIS_URL is set, but .* @keyv\/redis is not installed: .*$/);
});

t.test('the service starts without its optional packages, and logs JSON lines on a terminal', async (t) => {
  const DATABASE_URL = await testDatabase(t);
  const service = await startService(t, { DATABASE_URL, ...without('pino-pretty') });
  service.child.kill('SIGTERM');
  const { code, stderr } = await service.ended;
  t.equal(code, 0);
  t.match(stderr.trimEnd(), /^the log is in JSON lines, .* pino-pretty is not installed$/);
  const other = await startService(t, { DATABASE_URL, ...without('@keyv/redis') });
  other.child.kill('SIGTERM');
  t.match(await other.ended, { code: 0, stderr: '' }, 'without REDIS_URL its client is not needed');
});
