import { startTestServer } from './test-server.ts';

console.error(`# tests run on PostgreSQL ${await startTestServer()}`);
