import { codeOf } from '../errors/caught.ts';
import type { PreparedStatement, Sessions } from '../database/sessions.ts';
import type { Batch } from './batch.ts';
import { fingerprint } from './idempotency.ts';

/** What was written under an idempotency key before. */
export interface Kept {
  /** The fingerprint of the request. */
  request: string;
  values: number[];
}

export interface Written {
  /** The value of each counter of the batch after it; empty when nothing was written. */
  after: Map<string, number>;
  /** The keys of the batch that had been used before. If there are any, nothing was written. */
  kept: Map<string, Kept>;
}

/** How long a receipt is kept, in hours: an attempt can be asked for that long. */
export const RECEIPT_HOURS = 1;

/** And one that closes the door on an attempt: longer than any network keeps what it did not deliver. */
const CLOSED_HOURS = 168;

const written = `
  delta as (
    select * from unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
      with ordinality as d (name, total, low, high, i)
  ),
  written as (
    insert into counters as c (name, value)
    select name, total from delta where not exists (select from kept) order by name
    on conflict (name) do update set value = c.value + excluded.value
    returning c.name, c.value
  ),
  receipt as (
    insert into counter_receipts (batch, "values", lowest, highest, expires_at)
    select $1, array_agg(value order by i), min(value - total + low), max(value - total + high),
           now() + $2 * interval '1 hour'
    from written join delta using (name)
    having count(*) > 0
  )`;

/**
 * Adds to all counters of a batch and leaves a receipt, in one order for all replicas, so that they do not deadlock.
 */
const WRITE = `
  with kept as (select where false), ${written}
  select name, value from written`;

/** The same for a batch with idempotency keys, unless one of them is known: then that is said and nothing done. */
const WRITE_KEYED = `
  with kept as (
    select key, request, "values" from idempotency_keys where key = any($7::text[])
  ), ${written},
  keyed as (
    insert into idempotency_keys (key, request, "values", expires_at)
    select key, request, array_agg(value + behind order by i), now() + $11 * interval '1 hour'
    from unnest($7::text[], $8::text[], $9::text[], $10::bigint[]) with ordinality as k (key, request, name, behind, i)
    join written using (name)
    group by key, request
    order by key
  )
  select name, value, null as key, null as request, null::bigint[] as "values" from written
  union all
  select null, null, key, request, "values" from kept`;

/**
 * Closes the door on an attempt whose answer was lost. It waits for the attempt if that is still under way; one that
 * comes later finds its receipt taken, and fails as a whole.
 */
const CLOSE = `
  insert into counter_receipts (batch, "values", lowest, highest, expires_at)
  values ($1, '{}', 0, 0, now() + $2 * interval '1 hour')
  on conflict (batch) do nothing`;

type Row = {
  name: string | null;
  value: string;
  key?: string | null;
  request?: string;
  values?: string[];
};

/** The counters as the database keeps them. Each act is one statement, and so one transaction. */
export class CounterStore {
  readonly #sessions: Pick<Sessions, 'query'>;
  readonly #keyHours: number;

  /** @param keyHours how long idempotency keys are kept, in hours */
  constructor(sessions: Pick<Sessions, 'query'>, keyHours: number) {
    this.#sessions = sessions;
    this.#keyHours = keyHours;
  }

  /**
   * Writes a batch, all or nothing.
   *
   * @param attempt a UUID of this attempt's own, under which `close` finds out what became of it
   * @throws {ConnectionError} `unknown` when the answer was lost
   * @throws the driver's error when the server refused it; see `isOutOfRange`, `failureOf`
   */
  async write({ requests, deltas, behind }: Batch, attempt: string): Promise<Written> {
    const values: unknown[] = [
      attempt,
      RECEIPT_HOURS,
      deltas.map(({ name }) => name),
      deltas.map(({ total }) => total),
      deltas.map(({ low }) => low),
      deltas.map(({ high }) => high),
    ];
    if (requests.every(({ key }) => key === undefined)) {
      return read(await this.#ask({ name: 'write', text: WRITE, values }));
    }
    const rows = requests.flatMap((request, r) => {
      const { key, increments } = request;
      if (key === undefined) return [];
      const print = fingerprint(request);
      return increments.map(({ name }, i) => ({ key, print, name, behind: behind[r]?.[i] }));
    });
    values.push(
      rows.map(({ key }) => key),
      rows.map(({ print }) => print),
      rows.map(({ name }) => name),
      rows.map((row) => row.behind),
      this.#keyHours,
    );
    return read(await this.#ask({ name: 'write-keyed', text: WRITE_KEYED, values }));
  }

  /**
   * Settles an attempt whose answer was lost, for good: once this returns, it will not be applied any more. To be
   * asked within `RECEIPT_HOURS` of the attempt, as long as its receipt is kept for certain.
   *
   * @returns the values it left, in the order of its deltas; undefined: it was not applied
   */
  async close(attempt: string): Promise<number[] | undefined> {
    await this.#ask({ name: 'close', text: CLOSE, values: [attempt, CLOSED_HOURS] });
    const [row] = await this.#ask({
      name: 'receipt',
      text: 'select "values" from counter_receipts where batch = $1',
      values: [attempt],
    });
    const values = row?.values?.map(Number) ?? [];
    return values.length > 0 ? values : undefined;
  }

  /** The values of those that exist. */
  async values(names: readonly string[]): Promise<Map<string, number>> {
    const text = 'select name, value from counters where name = any($1::text[])';
    return read(await this.#ask({ name: 'values', text, values: [names] })).after;
  }

  /** Those whose row somebody has locked at the moment. */
  async locked(names: readonly string[]): Promise<Set<string>> {
    const text = `
      with free as (select name from counters where name = any($1::text[]) for no key update skip locked)
      select name from counters where name = any($1::text[]) and name not in (select name from free)`;
    const rows = await this.#ask({ name: 'locked', text, values: [names] });
    return new Set(rows.flatMap(({ name }) => name ?? []));
  }

  /**
   * Removes what has expired, a few rows at a time and none that anybody has locked, so that nobody waits for it.
   *
   * @returns how many rows were removed
   */
  async removeExpired(rowsMax: number): Promise<number> {
    let removed = 0;
    for (const [table, key] of [
      ['idempotency_keys', 'key'],
      ['counter_receipts', 'batch'],
    ] as const) {
      const { rowCount } = await this.#sessions.query({
        name: `remove-${table}`,
        text: `
          delete from ${table} where ${key} in (
            select ${key} from ${table} where expires_at < now() order by expires_at limit $1 for update skip locked)`,
        values: [rowsMax],
      });
      removed += rowCount ?? 0;
    }
    return removed;
  }

  async #ask(statement: PreparedStatement): Promise<Row[]> {
    return (await this.#sessions.query<Row>(statement)).rows;
  }
}

function read(rows: readonly Row[]): Written {
  const after = new Map<string, number>();
  const kept = new Map<string, Kept>();
  for (const { name, value, key, request = '', values = [] } of rows) {
    if (name !== null) after.set(name, Number(value));
    else if (key) kept.set(key, { request, values: values.map(Number) });
  }
  return { after, kept };
}

const OUT_OF_RANGE = /^(23514|22003)$/;

/** Whether the server refused a batch because a value would leave the range. Nothing of it was applied. */
export const isOutOfRange = (error: unknown): boolean => OUT_OF_RANGE.test(codeOf(error) ?? '');
