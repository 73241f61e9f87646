import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyReply } from 'fastify';
import { Semaphore } from '../concurrency/semaphore.ts';
import { Problem } from '../errors/problem.ts';
import { clientGone } from '../http/signals.ts';
import { strategies } from '../strategies/index.ts';
import type { Strategy } from '../strategies/strategy.ts';
import type { Arena } from './arena.ts';
import { liveRaces } from './live.ts';
import { INCREMENTS_MAX, raceAnswer, raceBody, raceEvents, raceQuery } from './schemas.ts';
import { runTrial, type TrialResult } from './trial.ts';

export interface RacesOptions {
  arena: Arena;
  closing: AbortSignal;
}

/** How long the races of one request may take, their turn included, in milliseconds. */
const RACES_MS_MAX = 120_000;

/** Strategies against each other, each on a post of its own. One request's races at a time; some others may wait. */
export const racesRoutes: FastifyPluginAsyncTypebox<RacesOptions> = async (app, { arena, closing }) => {
  const { orm } = app.database;
  const turn = new Semaphore({ permits: 1, queueMax: 8, waitMsMax: 60_000 });
  const tags = ['Races'];
  // Without a body everything is as by default.
  app.addHook('preValidation', async (request) => {
    request.body ??= {};
  });

  const prepared = (entry: Entry, reply: FastifyReply, log: FastifyBaseLogger) => {
    const { contenders, rounds } = entry;
    if (contenders * rounds > INCREMENTS_MAX) {
      throw new Problem(
        'invalid_request',
        `contenders × rounds is ${contenders * rounds}; allowed: up to ${INCREMENTS_MAX}`,
      );
    }
    const signal = AbortSignal.any([clientGone(reply), closing, AbortSignal.timeout(RACES_MS_MAX)]);
    return chosen(entry.strategies).map((strategy) => ({ strategy, contenders, rounds, signal, log }));
  };

  app.post('/races', {
    schema: {
      tags,
      summary: 'Races strategies, and says which claims hold',
      body: raceBody,
      response: { 200: raceAnswer },
    },
    handler: async ({ body, log }, reply) => {
      const trials = prepared(body, reply, log);
      const leave = await turn.acquire(1, trials[0]?.signal);
      try {
        const results: TrialResult[] = [];
        for (const trial of trials) results.push(await runTrial(orm, arena, trial));
        return results;
      } finally {
        leave();
      }
    },
  });

  app.get('/races/stream', {
    config: { writes: true },
    schema: {
      tags,
      summary: 'The same, live, as server-sent events: waiting, start, progress, result, problem, end',
      querystring: raceQuery,
      response: { 200: raceEvents },
    },
    handler: async ({ query, log }, reply) => {
      const trials = prepared({ ...query, strategies: query.strategies?.split(',') }, reply, log);
      const events = liveRaces(orm, arena, turn, trials);
      return reply
        .header('content-type', 'text/event-stream')
        .header('cache-control', 'no-store')
        .send(Readable.from(events));
    },
  });
};

interface Entry {
  strategies?: string[] | undefined;
  contenders: number;
  rounds: number;
}

/** @throws {Problem} that names what is not a strategy */
function chosen(names?: readonly string[]): readonly Strategy[] {
  if (!names) return strategies;
  return names.map((name) => {
    const strategy = strategies.find((one) => one.name === name);
    if (strategy) return strategy;
    const known = strategies.map((one) => one.name).join(', ');
    throw new Problem('invalid_request', `"${name}" is no strategy; allowed: ${known}`);
  });
}
