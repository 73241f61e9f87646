import type { Client } from 'pg';
import { backendPidOf, observed } from '../../database/observed.ts';
import type { TimelineEntry } from '../../timeline/entry.ts';
import { pause } from './observer.ts';
import type { Scratch } from './scratch.ts';

/** One statement of one session. A schedule is a list of steps in the order in which they are sent. */
export interface Step {
  session: string;
  sql: string;
}

interface Actor {
  name: string;
  client: Client;
  /** Whether it is inside a transaction, according to its statements: the driver knows it only after the answer. */
  begun: boolean;
  /** Whether its transaction has failed: then its remaining steps are not sent. */
  failed: boolean;
  /** The statement that is not answered yet. */
  waiting: Promise<void> | undefined;
}

/**
 * Runs the steps of several sessions, each on its own backend, in an exact order. The next step is sent when a step has
 * finished, or when the server reports that it waits for another session (pg_blocking_pids). A session that fails rolls
 * back at once, as a program would, and its other steps are skipped.
 */
export class Stepper {
  readonly #scratch: Scratch;
  readonly #actors = new Map<string, Actor>();

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** Sends the steps; returns their timeline once every statement has been answered. */
  async run(steps: readonly Step[]): Promise<TimelineEntry[]> {
    const { timeline } = this.#scratch;
    const first = timeline.entries.length;
    for (const { session, sql } of steps) await this.#step(await this.#actor(session), sql);
    for (const { waiting } of this.#actors.values()) await waiting;
    return timeline.entries.slice(first);
  }

  async #actor(name: string): Promise<Actor> {
    const known = this.#actors.get(name);
    if (known) return known;
    const client = await this.#scratch.connect(name);
    const actor = { name, client, begun: false, failed: false, waiting: undefined };
    this.#actors.set(name, actor);
    return actor;
  }

  async #step(actor: Actor, sql: string): Promise<void> {
    await actor.waiting;
    if (sql.startsWith('begin')) actor.failed = false;
    if (actor.failed) return;
    actor.waiting = this.#send(actor, sql).finally(() => {
      actor.waiting = undefined;
    });
    await this.#untilQuiet(actor);
    // First, sessions that this step has unblocked run until they are answered or wait for the next lock. All are polled
    // again, since their states may have changed while the step ran.
    for (const other of this.#actors.values()) await this.#untilQuiet(other);
  }

  async #untilQuiet(actor: Actor): Promise<void> {
    while (actor.waiting) {
      const backends = await this.#scratch.observer.poll();
      if (backends.some(({ name, blockedBy }) => name === actor.name && blockedBy.length > 0)) return;
      await Promise.race([actor.waiting, pause()]);
    }
  }

  async #send(actor: Actor, sql: string): Promise<void> {
    const { timeline } = this.#scratch;
    const { client, name } = actor;
    actor.begun = sql.startsWith('begin') || (actor.begun && !/^(commit|rollback)$/.test(sql));
    try {
      await observed(timeline.observe(name), sql, backendPidOf(client), () => client.query(sql));
    } catch {
      actor.failed = true;
      if (actor.begun) await this.#send(actor, 'rollback');
    }
  }
}
