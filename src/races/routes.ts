import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Semaphore } from '../concurrency/semaphore.ts';
import { Problem } from '../errors/problem.ts';
import { clientGone } from '../http/signals.ts';
import { sendEvents } from '../http/sse.ts';
import { allowNoBody } from '../http/validation.ts';
import { strategies } from '../strategies/index.ts';
import type { Strategy } from '../likes/strategy.ts';
import type { Arena } from './arena.ts';
import type { Experiment } from './experiments/experiment.ts';
import { experiments } from './experiments/index.ts';
import { RACE, totalOf } from './limits.ts';
import { liveRaces } from './live.ts';
import { racesSchema, streamSchema } from './schemas.ts';
import { runTrial, type Trial, type TrialResult } from './trial.ts';

interface RacesOptions {
  arena: Arena;
  /** Aborted when the service stops waiting for requests in flight. */
  closing: AbortSignal;
}

/** How long the races of one request may take, including the wait for their turn, in milliseconds. */
const RACES_MS_MAX = 120_000;

/** Runs races of strategies, each on its own post. One request runs at a time; a bounded number may wait. */
export const racesRoutes: FastifyPluginAsyncTypebox<RacesOptions> = async (app, { arena, closing }) => {
  const { orm } = app.database;
  const turn = new Semaphore({ permits: 1, queueMax: 8, waitMsMax: 60_000 });

  async function race(trials: Trial[]): Promise<TrialResult[]> {
    const release = await turn.acquire(1, trials[0]?.signal);
    try {
      const results: TrialResult[] = [];
      for (const trial of trials) results.push(await runTrial(orm, arena, trial));
      return results;
    } finally {
      release();
    }
  }

  app.post('/races', {
    config: { problems: RACE },
    schema: racesSchema,
    preValidation: allowNoBody,
    handler: ({ body, log }, reply) => race(trialsOf(body, log, reply, closing)),
  });

  app.get('/races/stream', {
    exposeHeadRoute: false,
    config: { writes: true },
    schema: streamSchema,
    handler: async ({ query, log }, reply) => {
      const trials = trialsOf({ ...query, strategies: query.strategies?.split(',') }, log, reply, closing);
      return sendEvents(reply, Readable.from(liveRaces(orm, arena, turn, trials)));
    },
  });
};

interface RacesRequest {
  experiment: string;
  strategies?: string[] | undefined;
  workers: number;
  increments: number;
}

/** @throws {Problem} when the race is too large, or a strategy is unknown or named twice */
function trialsOf(
  { experiment: name, strategies: names, workers, increments }: RacesRequest,
  log: FastifyRequest['log'],
  reply: FastifyReply,
  closing: AbortSignal,
): Trial[] {
  totalOf({ workers, increments });
  const signal = AbortSignal.any([clientGone(reply), closing, AbortSignal.timeout(RACES_MS_MAX)]);
  const experiment = experiments.find((one) => one.name === name) ?? experiments[0];
  return chosen(experiment, names).map((strategy) => ({
    experiment,
    strategy,
    workers,
    increments,
    signal,
    log,
  }));
}

/** @throws {Problem} that names the strategy which is unknown, cannot take part, or is named twice */
function chosen(experiment: Experiment, names?: readonly string[]): readonly Strategy[] {
  const able = strategies.filter((one) => experiment.takes(one));
  if (!names) return able;
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new Problem('invalid_request', `"${twice}" is named twice; allowed: each strategy once`);
  }
  return names.map((name) => {
    const strategy = able.find((one) => one.name === name);
    if (strategy) return strategy;
    const known = strategies.some((one) => one.name === name);
    const allowed = able.map((one) => one.name).join(', ');
    throw new Problem(
      'invalid_request',
      `"${name}" ${known ? `cannot race for ${experiment.name}` : 'is not a strategy'}; allowed: ${allowed}`,
    );
  });
}
