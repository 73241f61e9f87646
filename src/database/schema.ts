/**
 * The names of a schema for the tables of the counters: 57 characters, so that `demosSchema` has at most the 63 that
 * PostgreSQL keeps of a name. `public` belongs to applications, `pg_…` and `information_schema` to PostgreSQL.
 */
export const SCHEMA_PATTERN = '^(?!pg_|public$|information_schema$)[a-z_][a-z0-9_]{0,56}$';

/** The schema of the demonstrations' tables beside a schema of counters. */
export const demosSchema = (schema: string): string => `${schema}_demos`;

/** A name as it is written in SQL. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
