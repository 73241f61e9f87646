import type { Configuration } from '@mikro-orm/core';
import { quoted } from './schema.ts';

/**
 * The name of a table or a sequence for hand-written SQL, in the schema that MikroORM uses, so that the search path of the
 * session does not matter.
 *
 * @param config of an EntityManager or of a migration
 */
export const qualified = (config: Configuration, name: string): string =>
  `${quoted(config.get('schema'))}.${quoted(name)}`;
