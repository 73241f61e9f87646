import type { Client } from 'pg';

/**
 * A schema that hides what statements use of PostgreSQL if it comes first in the search path: all functions, operators and
 * types with these names, for exactly the same types.
 */
export interface Shadow {
  functions: readonly string[];
  operators: readonly string[];
  types: readonly string[];
}

/** The types for which operators are hidden. */
const OPERANDS =
  'text, bigint, integer, boolean, timestamptz, timestamp, interval, bytea, numeric, float8, uuid, tid, jsonb, name, anyarray';

/** Those that take arguments of any type, with the types for which they are hidden. */
const VARIADIC: Record<string, readonly string[]> = {
  json_build_array: [
    'text, text, jsonb',
    'text, text, bigint',
    'bigint, bigint, bigint, bigint, bigint, boolean, text',
  ],
  jsonb_build_object: ['text, bigint'],
};

/** The code is one that no request causes: after others, a batch is written in parts, or decided one by one. */
const raising = (what: string) =>
  `language plpgsql volatile as $body$
   begin raise exception 'the hidden ${what} was used' using errcode = 'internal_error'; end $body$`;

/**
 * Creates the schema. Its functions, operators and types raise an error, and what cannot do that is wrong: a count is 41, a
 * row number is 1.
 */
export async function createShadow(client: Client, hidden: Shadow): Promise<void> {
  await client.query('create schema shadow');
  await client.query(
    `do $do$
     declare one record;
     begin
       for one in
         select p.oid, p.proname as name, pg_get_function_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result
         from pg_proc as p
         where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f'
           and p.proname = any (${list(hidden.functions)}) and not ('"any"'::regtype = any (p.proargtypes::oid[]))
       loop
         execute format($create$create function shadow.%I (%s) returns %s ${raising('%1$s')}$create$,
                        one.name, one.arguments, one.result);
       end loop;
       for one in
         select o.oid, o.oprname as name, o.oprleft::regtype as l, o.oprright::regtype as r, o.oprresult::regtype as result
         from pg_operator as o
         where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprname = any (${list(hidden.operators)})
           and o.oprleft = any ('{${OPERANDS}}'::regtype[]) and o.oprright = any ('{${OPERANDS}}'::regtype[])
       loop
         execute format($create$create function shadow.operator_%s (%s, %s) returns %s ${raising('operator %5$s')}$create$,
                        one.oid, one.l, one.r, one.result, replace(one.name, '''', ''));
         execute format('create operator shadow.%s (leftarg = %s, rightarg = %s, function = shadow.operator_%s)',
                        one.name, one.l, one.r, one.oid);
       end loop;
     end $do$`,
  );
  for (const [name, all] of Object.entries(VARIADIC))
    for (const types of all)
      await client.query(
        `create function shadow.${name} (${types}) returns ${name.split('_')[0]} ${raising(name)}`,
      );
  await client.query(AGGREGATES);
  for (const type of hidden.types) {
    await client.query(`create function shadow.refuse_${type} () returns boolean ${raising(type)}`);
    await client.query(`create domain shadow.${type} as pg_catalog.${type} check (shadow.refuse_${type} ())`);
  }
}

const AGGREGATES = `
  create function shadow.next_count (bigint) returns bigint language sql as 'select 41::bigint';
  create aggregate shadow.count (*) (sfunc = shadow.next_count, stype = bigint, initcond = '41');
  create function shadow.next_array (bigint[], bigint) returns bigint[] ${raising('array_agg')};
  create aggregate shadow.array_agg (bigint) (sfunc = shadow.next_array, stype = bigint[]);
  create function shadow.next_json (json, json) returns json ${raising('json_agg')};
  create aggregate shadow.json_agg (json) (sfunc = shadow.next_json, stype = json);
  create function shadow.next_max (timestamptz, timestamptz) returns timestamptz ${raising('max')};
  create aggregate shadow.max (timestamptz) (sfunc = shadow.next_max, stype = timestamptz);
  create function shadow.next_max (integer, integer) returns integer ${raising('max')};
  create aggregate shadow.max (integer) (sfunc = shadow.next_max, stype = integer);
  create function shadow.row_number () returns bigint language internal window as 'window_rank'`;

const list = (names: readonly string[]): string => `array['${names.join("','")}']`;
