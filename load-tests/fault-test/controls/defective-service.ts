/**
 * The service with the defect that `DEFECT` names, for the positive controls. The defects are patches in this file, so that
 * the service contains no code for them.
 */
import { randomUUID } from 'node:crypto';
import { type Batch, compose } from '../../../src/counters/batch.ts';
import { refusalOf } from '../../../src/counters/batch-refusal.ts';
import type { CounterState } from '../../../src/counters/counter.ts';
import type { Decisions } from '../../../src/counters/decide.ts';
import { CounterReader } from '../../../src/counters/reader.ts';
import type { PendingRequest } from '../../../src/counters/request.ts';
import { idOf } from '../../../src/counters/row.ts';
import { CounterStore, type Written } from '../../../src/counters/store.ts';
import type { PreparedStatement } from '../../../src/database/guarded-connection.ts';
import { type Send, Sessions } from '../../../src/database/sessions.ts';
import { WaitingRoom } from '../../../src/counters/waiting-room.ts';
import { Problem } from '../../../src/errors/problem.ts';
import { isDefect } from './defects.ts';

type SessionMethod = (this: Sessions, ...given: unknown[]) => Promise<never>;

type Method<Name extends 'write' | 'decide' | 'close'> = (
  this: CounterStore,
  ...given: Parameters<CounterStore[Name]>
) => ReturnType<CounterStore[Name]>;

type Read = (this: CounterReader, name: string) => Promise<CounterState | undefined>;

const { prototype } = CounterStore;
const original = <Name extends 'write' | 'decide' | 'close'>(name: Name): Method<Name> =>
  Object.getOwnPropertyDescriptor(prototype, name)?.value as Method<Name>;
const [write, decide, close] = [original('write'), original('decide'), original('close')];

const withoutKeys = (requests: readonly PendingRequest[]): PendingRequest[] =>
  requests.map(({ key: _key, fingerprint: _fingerprint, ...request }) => request);

/** The counters that are third in a bulk of three without a key. */
function thirdCounters(requests: readonly PendingRequest[]): Set<string> {
  const bulks = requests.filter(({ key, increments }) => key === undefined && increments.length === 3);
  return new Set(
    bulks.flatMap(({ increments }) => {
      const [first, , third] = increments.map(({ row }) => idOf(row));
      return third !== undefined && third !== first ? [third] : [];
    }),
  );
}

/** Changes the texts of statements before they are sent. */
function rewriteStatements(wanted: RegExp, rewritten: (text: string) => string): void {
  const [query, transaction] = ['query', 'transaction'].map(
    (name) => Object.getOwnPropertyDescriptor(Sessions.prototype, name)?.value as SessionMethod,
  ) as [SessionMethod, SessionMethod];
  const changed = (statement: PreparedStatement): PreparedStatement =>
    wanted.test(statement.name) ? { ...statement, text: rewritten(statement.text) } : statement;
  Sessions.prototype.query = function (this: Sessions, statement) {
    return query.call(this, changed(statement));
  };
  Sessions.prototype.transaction = function (this: Sessions, work) {
    return transaction.call(this, (send: Send) => work((statements) => send(statements.map(changed))));
  };
}

/** The number of a batch is stored, whichever one the writer's row has. */
const withoutFence = (text: string): string =>
  text.replace(/set seq = case when .*? then (\$2::bigint) end,/, 'set seq = greatest(f.seq, $1),');

const patches = {
  /** Predicts the values, answers with them, and writes the batch later. */
  'answers before the commit': () => {
    const expected = new Map<string, bigint>();
    let written: Promise<unknown> = Promise.resolve();
    prototype.decide = async function (this: CounterStore, ...given) {
      await written;
      expected.clear();
      return decide.call(this, ...given);
    };
    prototype.write = async function (this: CounterStore, batch, id) {
      const first = batch.deltas.some(({ row }) => !expected.has(idOf(row)));
      const done = written.then(() => write.call(this, batch, id));
      written = done.catch(() => {});
      const values = first ? (await done).values : [];
      for (const [i, { row, total }] of batch.deltas.entries())
        expected.set(idOf(row), first ? BigInt(values[i] ?? 0) : (expected.get(idOf(row)) ?? 0n) + total);
      const predicted = batch.deltas.map(({ row }) => Number(expected.get(idOf(row))));
      return { values: predicted, known: new Map() };
    };
  },
  /** Answers when the requests are decided; what follows waits for the commit. */
  'answers a transaction before its commit': () => {
    let written: Promise<unknown> = Promise.resolve();
    prototype.decide = async function (this: CounterStore, requests, id, decideOn, lockMs) {
      await written;
      const { promise, resolve, reject } = Promise.withResolvers<Decisions>();
      const early: typeof decideOn = (world) => {
        const decisions = decideOn(world);
        resolve(decisions);
        return decisions;
      };
      const done = decide.call(this, requests, id, early, lockMs);
      written = done.then(resolve, reject);
      return promise;
    };
    prototype.write = async function (this: CounterStore, ...given) {
      await written;
      return write.call(this, ...given);
    };
  },
  /** Closes the number, but does not look at what was written under it: the requests are written again. */
  'treats every lost commit as not applied': () => {
    prototype.close = async function (this: CounterStore, id) {
      await close.call(this, id);
      return undefined;
    };
  },
  /** The same in reverse: the requests are acknowledged. */
  'treats every lost commit as applied': () => {
    prototype.close = async function (this: CounterStore, id) {
      return (await close.call(this, id)) ?? [0];
    };
  },
  /** Applies a plain batch even if its number is closed. */
  'does not check batch numbers': () => rewriteStatements(/^write-/, withoutFence),
  /** Applies a transaction even if its number is closed. */
  'does not check the numbers of transactions': () => rewriteStatements(/^apply-/, withoutFence),
  /** If the row of its writer is gone, assumes that the batch was not applied, and writes it as a new writer. */
  'guesses the outcome after its writer was removed': () => {
    prototype.close = async function (this: CounterStore, id) {
      try {
        return await close.call(this, id);
      } catch (error) {
        if (refusalOf(error) !== 'forgotten') throw error;
        return undefined;
      }
    };
  },
  /** Creates the rows that are missing, and reads the others without a lock. */
  'decides without locks': () =>
    rewriteStatements(/^lock-/, (text) =>
      text.replace(/on conflict .* where false/, 'on conflict do nothing'),
    ),
  /** Writes batches without their keys. */
  'ignores keys': () => {
    prototype.write = function (this: CounterStore, { requests }, id, lockMs) {
      return write.call(this, compose(withoutKeys(requests)), id, lockMs);
    };
    prototype.decide = function (this: CounterStore, requests, id, decideOn, lockMs) {
      const unaware: typeof decideOn = (world) => ({ ...decideOn({ ...world, known: new Map() }), kept: [] });
      return decide.call(this, requests, id, unaware, lockMs);
    };
  },
  /** Stores keys, but counts requests with a known key again. */
  'counts known keys again': () => {
    prototype.write = async function (this: CounterStore, batch, id, lockMs): Promise<Written> {
      const written = await write.call(this, batch, id, lockMs);
      if (written.known.size === 0) return written;
      // The batch number is already used.
      const writer = randomUUID();
      await this.register(writer);
      return write.call(this, compose(withoutKeys(batch.requests)), { writer, seq: 1 }, lockMs);
    };
    prototype.decide = function (this: CounterStore, requests, id, decideOn, lockMs) {
      const again: typeof decideOn = (world) => {
        const decisions = decideOn({ ...world, known: new Map() });
        return { ...decisions, kept: decisions.kept.filter(({ key }) => !world.known.has(key)) };
      };
      return decide.call(this, requests, id, again, lockMs);
    };
  },
  /** Refuses all requests of a batch if one of its counters is locked. */
  'refuses the whole batch on a lock': () => {
    WaitingRoom.prototype.isolate = () => Promise.reject(new Problem('busy', 'a counter is locked'));
  },
  /** Answers with a value for the last counter of a bulk without a key, but does not write it. */
  'skips the last counter of a bulk': () => {
    prototype.write = async function (this: CounterStore, batch, id, lockMs): Promise<Written> {
      const { values, known } = await write.call(this, withoutThirds(batch), id, lockMs);
      const rest = values.values();
      const skipped = thirdCounters(batch.requests);
      return {
        values: batch.deltas.map(({ row, total }) =>
          skipped.has(idOf(row)) ? Number(total) : (rest.next().value ?? Number(total)),
        ),
        known,
      };
    };
    prototype.decide = function (this: CounterStore, requests, id, decideOn, lockMs) {
      const skipped = thirdCounters(requests);
      const part: typeof decideOn = (world) => {
        const decisions = decideOn(world);
        const changed = [...decisions.changed].filter(([row]) => !skipped.has(row));
        return { ...decisions, changed: new Map(changed) };
      };
      return decide.call(this, requests, id, part, lockMs);
    };
  },
  /** Caches reads for one second. */
  'reads from a cache': () => {
    const read = Object.getOwnPropertyDescriptor(CounterReader.prototype, 'read')?.value as Read;
    const known = new Map<string, { state: ReturnType<Read>; until: number }>();
    CounterReader.prototype.read = function (this: CounterReader, name) {
      const kept = known.get(name);
      if (kept && kept.until > performance.now()) return kept.state;
      const fresh = read.call(this, name);
      known.set(name, { state: fresh, until: performance.now() + 1000 });
      return fresh;
    };
  },
};

/** The batch without what it adds to counters that are third in a bulk. */
function withoutThirds(batch: Batch): Batch {
  const skipped = thirdCounters(batch.requests);
  return compose(
    batch.requests.map((request) => ({
      ...request,
      increments: request.increments.filter(({ row }) => !skipped.has(idOf(row))),
    })),
  );
}

const defect = process.env.DEFECT ?? '';
if (!isDefect(defect)) throw new TypeError(`no such defect: ${defect}`);
patches[defect]();
await import('../../../src/server.ts');
