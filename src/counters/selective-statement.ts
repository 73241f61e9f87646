import type { Delta } from './batch.ts';
import { LARGE, type Selection } from './selection.ts';
import { expiryOfNewRow, prepared } from './statements.ts';

/*
 * Writes the requests of a batch that fit. It locks the counters, in the order of their names like every statement that
 * writes them, and decides on the values under the locks: no write of another replica can come between the decision and
 * its effect, so there is no conflict to retry.
 * - $1 to $3: as in the other forms of writing a batch.
 * - $4 to $6: the counters, the group of each, and its slot in the group. Groups share no counter.
 * - $7, $8: the first and the last part of each group. A part is what a request adds to one counter.
 * - $9 to $14: for each part, its slot, total, low and high, the last part of the request (0: not the first part, and
 *   decided together with it), and whether to add as much as fits.
 * - $15, $16: for each part, the lowest and the highest value before it with which its increments keep their own bounds;
 *   $17: the expiry of each counter if it is created. Null: no part has bounds, or no counter has an expiry.
 * - $18 to $22: what to store with the keys: key, fingerprint, the last part of the request, slot (0: the amount that was
 *   added), and what to add to the value; $23: how many hours to keep a key.
 * `fold` goes through the parts of all groups in parallel and carries the values of each group, one for each slot, and the
 * number of counters before the group. A step goes from one part to the next one, or, if the request does not fit or is
 * large, to the next request: copying the values for each part of a bulk would take long.
 * If another replica creates a counter after the snapshot was taken, this statement violates the primary key, and the
 * next attempt sees the counter. (`in` without `is true` would be a join, and the planner, which does not know the
 * lengths of the arrays, would choose nested loops.) If a key is known, nothing is written, as in WRITE_KEYED. The record
 * that the writer's row stores is described at `verdictsOf`.
 */
export const WRITE_SELECTIVE = prepared(
  'write-selective',
  `
  with recursive patience as materialized (select set_config('lock_timeout', $3, true) as ms),
  known as (
    select key, request, "values" from idempotency_keys where key = any($18::text[])
  ),
  delta as (
    select * from unnest($4::text[], $5::int[], $6::int[], $17::timestamptz[])
      with ordinality as d (name, grp, slot, expires_at, i)
    where not exists (select from known)
  ),
  locked as materialized (
    select d.i, c.value, c.min, c.max, (c.expires_at <= now()) is true as ended
    from delta as d join counters as c using (name)
    where (select ms from patience) is not null
    order by d.name
    for no key update of c
  ),
  start as materialized (
    select d.i, d.name, d.grp, d.slot, ${expiryOfNewRow('d.name', 'd.expires_at')} as expires_at,
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
             ($13::int[])[f.next] as until, ($13::int[])[f.next] - f.next >= ${LARGE} as large,
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
    update counters as c
    set value = n.next,
        min = case when not n.ended then c.min end,
        max = case when not n.ended then c.max end,
        expires_at = case when n.ended then n.expires_at else c.expires_at end
    from changed as n
    where c.name = n.name and (n.value <> n.next or n.ended and n.written) and not n.missing
  ),
  created as (
    insert into counters (name, value, expires_at)
    select name, next, expires_at from changed where missing and written order by name
  ),
  keyed as (
    insert into idempotency_keys (key, request, "values", expires_at)
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
    update counter_writers as f
    set seq = case when f.seq < $2 then $2 end, "values" = s."values", written_at = now()
    from summary as s
    where f.id = $1
    returning f.id
  )
  select array_to_string("values", ',') as "values", (select json_agg(known)::text from known) as known,
         1 / (select count(*) from fence) as fenced
  from summary`,
);

/** The parameters $4 to $22. */
export function parametersOf({ counters, groups, parts, kept }: Selection): unknown[] {
  return [
    counters.map(({ name }) => name),
    numbers(counters.map(({ group }) => group)),
    numbers(counters.map(({ slot }) => slot)),
    numbers(groups.map(({ begin }) => begin)),
    numbers(groups.map(({ end }) => end)),
    numbers(parts.map(({ slot }) => slot)),
    numbers(parts.map(({ total }) => total)),
    numbers(parts.map(({ low }) => low)),
    numbers(parts.map(({ high }) => high)),
    numbers(parts.map(({ until }) => until)),
    `{${parts.map(({ partial }) => partial).join(',')}}`,
    leastsOf(parts),
    mostsOf(parts),
    expiriesOf(counters),
    kept.map(({ key }) => key),
    kept.map(({ fingerprint }) => fingerprint),
    numbers(kept.map(({ part }) => part)),
    numbers(kept.map(({ slot }) => slot)),
    numbers(kept.map(({ offset }) => offset)),
  ];
}

/** An array literal of PostgreSQL. The driver would search each number for characters to escape. */
export const numbers = (values: readonly (bigint | number)[]): string => `{${values.join(',')}}`;

/** A bound so far away that every value keeps it, but not so far that sums with it leave the range of bigint. */
const FAR = 2n ** 62n;

export const leastsOf = (deltas: readonly Pick<Delta, 'least'>[]): string | null =>
  optional(
    deltas.map(({ least }) => least),
    -FAR,
  );

export const mostsOf = (deltas: readonly Pick<Delta, 'most'>[]): string | null =>
  optional(
    deltas.map(({ most }) => most),
    FAR,
  );

export const expiriesOf = (deltas: readonly Pick<Delta, 'expiresAt'>[]): string | null =>
  optional(
    deltas.map(({ expiresAt }) => timestampOf(expiresAt)),
    'infinity',
  );

/**
 * An array literal in which values may be missing; null: all of them are missing.
 *
 * @param missing stands for a missing value: `null` in an array is text in a session with `array_nulls = off`
 */
const optional = <T extends bigint | string>(
  values: readonly (T | null | undefined)[],
  missing: T,
): string | null =>
  values.some((value) => value != null) ? `{${values.map((value) => value ?? missing).join(',')}}` : null;

/** @param ms milliseconds since 1970 */
export const timestampOf = (ms: number | undefined): string | null =>
  ms === undefined ? null : new Date(ms).toISOString();
