import { Type } from 'typebox';
import { eventStream, sseEvent } from '../http/sse.ts';
import { timelineEntry } from '../timeline/entry.ts';
import { strategies } from '../strategies/index.ts';
import { claim } from '../strategies/http/schemas.ts';
import { experiments } from './experiments/index.ts';
import { incrementsField, workersField } from './limits.ts';

const names = Type.Enum(
  strategies.map(({ name }) => name),
  { description: 'The name of a strategy, as listed by GET /strategies' },
);

const experiment = Type.Enum(
  experiments.map(({ name }) => name),
  {
    default: experiments[0].name,
    description: `The kind of race. ${experiments.map(({ name, summary }) => `${name}: ${summary}`).join(' ')}`,
  },
);

const size = { workers: workersField(2), increments: incrementsField(25) };

const strict = { additionalProperties: false };

const raceBody = Type.Object(
  {
    strategies: Type.Optional(
      Type.Array(names, {
        minItems: 1,
        uniqueItems: true,
        description: 'The strategies to run, in this order; default: all that can take part',
      }),
    ),
    experiment,
    ...size,
  },
  {
    ...strict,
    examples: [{ strategies: ['unsafe', 'pessimistic', 'group-commit'], workers: 2, increments: 25 }],
  },
);

const raceQuery = Type.Object(
  {
    strategies: Type.Optional(
      Type.String({
        description: 'The strategies to run, comma-separated; default: all that can take part',
        examples: ['unsafe,pessimistic'],
      }),
    ),
    experiment,
    ...size,
  },
  strict,
);

export const trialResult = Type.Object({
  experiment: Type.String({
    description: `The kind of race: ${experiments.map(({ name }) => name).join(' or ')}`,
  }),
  strategy: Type.String({ description: 'The name of the strategy' }),
  claim,
  verdict: Type.Enum(['exact', 'rejects', 'loses', 'inconclusive'], {
    description:
      'The observed behaviour, in the terms of the claims; inconclusive: the race ran out of time before it could be decided',
  }),
  holds: Type.Union([Type.Boolean(), Type.Null()], {
    description: 'Whether the claim holds; null if the verdict is inconclusive',
  }),
  violations: Type.Array(Type.String(), {
    description:
      'The rules that the history violates: those of a counter, and those of a limited stock if there is one',
  }),
  stock: Type.Union([Type.Integer(), Type.Null()], {
    description: 'The maximum number of increments that may succeed; null: no maximum',
  }),
  sold_out: Type.Integer({ description: 'Increments that were refused because the stock was used up' }),
  attempted: Type.Integer({ description: 'Increments whose outcome is known' }),
  acknowledged: Type.Integer({ description: 'Increments that were acknowledged' }),
  conflicts: Type.Integer({ description: 'Attempts that met a conflict' }),
  retries: Type.Integer({ description: 'Attempts after a conflict' }),
  final: Type.Integer({ description: 'The count after the race; it starts at 0' }),
  lost: Type.Integer({
    description:
      'Acknowledged increments that are missing from the count; with tickets, these are tickets that were sold twice',
  }),
  witness: Type.Union(
    [
      Type.Null(),
      Type.Object({
        value: Type.Integer({ description: 'The value that was written twice' }),
        workers: Type.Array(Type.Integer(), { description: 'The workers that wrote it' }),
      }),
    ],
    {
      description:
        'Evidence of a lost update: two increments that wrote the same value; null if there are none',
    },
  ),
  duration_ms: Type.Number({
    description: 'The time from the start of the first increment to the end of the last one, in milliseconds',
  }),
  increments_per_second: Type.Number({ description: 'Acknowledged increments a second' }),
  timeline: Type.Array(timelineEntry, {
    description:
      'The statements of the two increments of the witness; without a witness, those of the first increments',
  }),
});

const raceAnswer = Type.Array(trialResult, {
  description: 'The result of each strategy',
  examples: [
    [
      {
        experiment: 'likes',
        strategy: 'unsafe',
        claim: 'loses',
        verdict: 'loses',
        holds: true,
        violations: ['two increments wrote 1'],
        stock: null,
        sold_out: 0,
        attempted: 50,
        acknowledged: 50,
        conflicts: 0,
        retries: 0,
        final: 25,
        lost: 25,
        witness: { value: 1, workers: [1, 2] },
        duration_ms: 41.3,
        increments_per_second: 1211,
        timeline: [
          {
            at_ms: 0.1,
            session: 'worker 1',
            backend_pid: 4242,
            sql: 'select …',
            took_ms: 0.6,
            rows: [{ pk: 2, like: 0, version: 1 }],
            row_count: 1,
          },
        ],
      },
    ],
  ],
});

const tags = ['Races'];

export const racesSchema = {
  tags,
  summary: 'Run a race',
  description:
    'Runs the strategies one after another, each on its own post with concurrent workers, and reports which claims hold.',
  body: raceBody,
  response: { 200: raceAnswer },
};

export const streamSchema = {
  tags,
  summary: 'Run a race and stream its progress',
  description:
    'The same race as POST /races, as server-sent events: waiting, start, progress, result, problem, end.',
  querystring: raceQuery,
  response: {
    200: eventStream(
      'Events with JSON data; the data of `result` is what POST /races answers for one strategy',
      sseEvent('start', { strategy: 'unsafe', claim: 'loses', expected: 50 }),
    ),
  },
};
