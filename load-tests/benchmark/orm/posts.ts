import { loadConfig } from '../../../src/config.ts';
import { demosSchema, quoted } from '../../../src/database/schema.ts';

/** The schema of the posts in the benchmark's own database. */
export const SCHEMA = demosSchema(loadConfig({}).DATABASE_SCHEMA);

/** Their table, as MikroORM writes it. */
export const POSTS = `${quoted(SCHEMA)}."posts"`;
