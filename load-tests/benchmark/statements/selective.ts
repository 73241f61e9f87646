import type { Client } from 'pg';

/** The schema of the tables that the statement below writes. */
const OLD = 'selective';

const TABLES = [
  `create schema ${OLD}`,
  `create table ${OLD}.counters (
     name text collate "C" primary key,
     value bigint not null check (value between -9007199254740991 and 9007199254740991),
     min bigint, max bigint, expires_at timestamptz,
     check (value between min and max and min >= -9007199254740991 and max <= 9007199254740991),
     check (isfinite(expires_at))
   ) with (fillfactor = 70)`,
  `create index on ${OLD}.counters (expires_at) where expires_at is not null`,
  `create table ${OLD}.idempotency_keys (
     key text collate "C" primary key, request text collate "C" not null, "values" bigint[] not null,
     expires_at timestamptz not null)`,
  `create table ${OLD}.counter_writers (
     id uuid primary key, seq bigint not null, "values" bigint[] not null default '{}',
     written_at timestamptz not null default now()) with (fillfactor = 20)`,
];

/**
 * How earlier versions decided on the requests of a batch: in one statement, which went through them recursively. A fixture
 * to compare with, as it was but for the schema.
 */
const SELECTIVE = `
  with recursive patience as materialized (select set_config('lock_timeout', $3, true) as ms),
  known as (
    select key, request, "values" from ${OLD}.idempotency_keys where key = any($18::text[])
  ),
  delta as (
    select * from unnest($4::text[], $5::int[], $6::int[], $17::timestamptz[])
      with ordinality as d (name, grp, slot, expires_at, i)
    where not exists (select from known)
  ),
  locked as materialized (
    select d.i, c.value, c.min, c.max, (c.expires_at <= now()) is true as ended
    from delta as d join ${OLD}.counters as c using (name)
    where (select ms from patience) is not null
    order by d.name
    for no key update of c
  ),
  start as materialized (
    select d.i, d.name, d.grp, d.slot, case when isfinite(d.expires_at)
      then greatest(d.expires_at, now() + split_part(d.name, chr(31), 2)::bigint * interval '1 ms' + interval '10 minutes') end as expires_at,
           l.i is null as missing, coalesce(l.ended, false) as ended,
           case when not l.ended then l.value else 0 end as value,
           coalesce(case when not l.ended then l.min end, -9007199254740991) as low,
           coalesce(case when not l.ended then l.max end, 9007199254740991) as high
    from delta as d left join locked as l using (i)
  ),
  bounds as materialized (
    select array_agg(value order by i) as "values", array_agg(low order by i) as lows,
           array_agg(high order by i) as highs
    from start
  ),
  fold (grp, before, part, next, state, taken, written) as (
    select grp, min(i)::int - 1, 0, ($7::int[])[grp], array_agg(value order by slot), null::bigint, false
    from start
    group by grp
    union all
    select f.grp, f.before, f.next, case when t.taken = 0 or n.large then n.until else f.next end + 1,
           case when t.taken = 0 then f.state
             when n.large then array(
               select sum(value)::bigint
               from (select * from unnest(f.state) with ordinality as s (value, slot)
                     union all
                     select * from unnest(($10::bigint[])[f.next:n.until], ($9::int[])[f.next:n.until])) as s
               group by slot order by slot)
             else f.state[:n.slot - 1]
               || array[f.state[n.slot] + case when n.partial then t.taken else n.total end]
               || f.state[n.slot + 1:] end,
           t.taken, n.partial or t.taken > 0
    from fold as f cross join bounds as b
    cross join lateral (
      select ($9::int[])[f.next] as slot, ($10::bigint[])[f.next] as total,
             ($13::int[])[f.next] as until, ($13::int[])[f.next] - f.next >= 16 as large,
             ($14::boolean[])[f.next] as partial, ($15::bigint[])[f.next] as least,
             ($16::bigint[])[f.next] as most, b.lows[f.before + ($9::int[])[f.next]] as low,
             b.highs[f.before + ($9::int[])[f.next]] as high
    ) as n
    cross join lateral (
      select case
        when n.partial and n.total > 0 then case
          when f.state[n.slot] < n.least or n.high < n.least + n.total then 0
          else greatest(0, least(n.total, least(n.high, n.most + n.total) - f.state[n.slot])) end
        when n.partial then case
          when f.state[n.slot] > n.most or n.low > n.most + n.total then 0
          else least(0, greatest(n.total, greatest(n.low, n.least + n.total) - f.state[n.slot])) end
        when n.until = 0 then f.taken
        else (
          select bool_and(f.state[slot] + ($11::bigint[])[p] >= b.lows[f.before + slot]
                      and f.state[slot] + ($12::bigint[])[p] <= b.highs[f.before + slot]
                      and (f.state[slot] < ($15::bigint[])[p]) is not true
                      and (f.state[slot] > ($16::bigint[])[p]) is not true)::int
          from generate_series(f.next, n.until) as p cross join lateral (select ($9::int[])[p] as slot) as s
        )
      end as taken
      offset 0
    ) as t
    where f.next <= ($8::int[])[f.grp]
  ),
  changed as (
    select s.*, f.state[s.slot] as next,
           ((s.grp, s.slot) in (select grp, unnest(($9::int[])[part:next - 1]) from fold where written)) is true
             as written
    from start as s join fold as f on f.grp = s.grp and f.next > ($8::int[])[f.grp]
  ),
  updated as (
    update ${OLD}.counters as c
    set value = n.next,
        min = case when not n.ended then c.min end,
        max = case when not n.ended then c.max end,
        expires_at = case when n.ended then n.expires_at else c.expires_at end
    from changed as n
    where c.name = n.name and (n.value <> n.next or n.ended and n.written) and not n.missing
  ),
  created as (
    insert into ${OLD}.counters (name, value, expires_at)
    select name, next, expires_at from changed where missing and written order by name
  ),
  keyed as (
    insert into ${OLD}.idempotency_keys (key, request, "values", expires_at)
    select k.key, k.request,
           array_agg(case when k.slot = 0 then f.taken else f.state[k.slot] + k.behind end order by k.i),
           now() + $23 * interval '1 hour'
    from unnest($18::text[], $19::text[], $20::int[], $21::int[], $22::bigint[])
      with ordinality as k (key, request, part, slot, behind, i)
    join fold as f on f.next = k.part + 1
    where f.written
    group by k.key, k.request
    order by k.key
  ),
  summary as (
    select coalesce("values" || lows || highs
      || (select array_agg(taken order by part) from fold where ($13::int[])[part] > 0), '{}') as "values"
    from bounds
  ),
  fence as (
    update ${OLD}.counter_writers as f
    set seq = case when f.seq < $2 then $2 end, "values" = s."values", written_at = now()
    from summary as s
    where f.id = $1
    returning f.id
  )
  select array_to_string("values", ',') as "values", (select json_agg(known)::text from known) as known,
         1 / (select count(*) from fence) as fenced
  from summary`;

const list = (values: readonly (string | number)[]): string => `{${values.join(',')}}`;

/** Writes requests of one increment each, with a maximum of their own, with the earlier statement. */
export class Selective {
  readonly #client: Client;
  #seq = 0;
  readonly #writer: string;

  constructor(client: Client, writer: string) {
    this.#client = client;
    this.#writer = writer;
  }

  static async createTables(client: Client): Promise<void> {
    for (const sql of TABLES) await client.query(sql);
  }

  async register(): Promise<void> {
    await this.#client.query(`insert into ${OLD}.counter_writers (id, seq) values ($1, 0)`, [this.#writer]);
  }

  /** @param names of the counters, one for each request: all the same, or all different */
  async write(names: readonly string[], max: number): Promise<void> {
    this.#seq += 1;
    const counters = [...new Set(names)];
    const shared = counters.length === 1;
    const numbers = names.map((_, i) => i + 1);
    const ones = names.map(() => 1);
    const values = [
      this.#writer,
      this.#seq,
      '500ms',
      counters,
      list(counters.map((_, i) => (shared ? 1 : i + 1))),
      list(counters.map(() => 1)),
      list(shared ? [1] : numbers),
      list(shared ? [names.length] : numbers),
      list(ones),
      list(ones),
      list(ones),
      list(ones),
      list(numbers),
      list(names.map(() => 'false')),
      null,
      list(names.map(() => max - 1)),
      null,
      [],
      [],
      '{}',
      '{}',
      '{}',
      24,
    ];
    await this.#client.query({ name: 'selective', text: SELECTIVE, values });
  }
}
