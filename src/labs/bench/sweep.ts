import { escapeIdentifier, type Client } from 'pg';

/** Drops the schemas of experiments whose process was killed: no backend carries their name any more. */
export async function sweep(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select nspname as name from pg_namespace
     where nspname ~ '^lab_[0-9a-f]{12}$' and pg_get_userbyid(nspowner) = current_user
       and not exists (select from pg_stat_activity where starts_with(application_name, nspname))`,
  );
  // Another process may be dropping the same schema.
  for (const { name } of rows) await client.query(`drop schema if exists ${escapeIdentifier(name)} cascade`);
}
