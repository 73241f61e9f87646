// JavaScript that any Node can run: the service needs one that runs TypeScript, which `npm ci` installs.
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (!existsSync(new URL('../node_modules/fastify', import.meta.url))) {
  console.error('the packages are not installed: run `npm ci` first');
  process.exitCode = 1;
} else if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Node ${process.versions.node} is too old; \`npm start\` uses the one that \`npm ci\` installed`,
  );
  process.exitCode = 1;
} else {
  await import('./server.ts');
}
