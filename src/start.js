// JavaScript, so that every version of Node can run it: the service needs a version that runs TypeScript.
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (!existsSync(new URL('../node_modules/fastify', import.meta.url))) {
  console.error('the packages are not installed: run `npm ci` first');
  process.exitCode = 1;
} else if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Node ${process.versions.node} is too old: run \`npm start\`, which uses the version that \`npm ci\` installed`,
  );
  process.exitCode = 1;
} else {
  await import('./server.ts');
}
