import { Type } from 'typebox';
import { eventStream } from '../http/sse.ts';
import { timelineEntry } from '../database/timeline.ts';
import { strategies } from '../strategies/index.ts';
import { claim } from '../strategies/schemas.ts';
import { incrementsField, workersField } from './limits.ts';

const names = Type.Enum(
  strategies.map(({ name }) => name),
  { description: 'The name of a strategy, as GET /strategies lists them' },
);

const size = { workers: workersField(2), increments: incrementsField(25) };

const strict = { additionalProperties: false };

const raceBody = Type.Object(
  {
    strategies: Type.Optional(
      Type.Array(names, {
        minItems: 1,
        uniqueItems: true,
        description: 'Which ones, in this order; default: all',
      }),
    ),
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
        description: 'Names of strategies, with commas between them; default: all of them',
        examples: ['unsafe,pessimistic'],
      }),
    ),
    ...size,
  },
  strict,
);

export const trialResult = Type.Object({
  strategy: Type.String(),
  claim,
  verdict: Type.Enum(['exact', 'rejects', 'loses', 'inconclusive'], {
    description:
      'What was seen, in the words of the claims; inconclusive: it ran out of time before that could be told',
  }),
  holds: Type.Union([Type.Boolean(), Type.Null()], {
    description: 'Whether the claim does; null where the verdict is inconclusive',
  }),
  violations: Type.Array(Type.String(), { description: 'The rules of a counter that the history breaks' }),
  attempted: Type.Integer({ description: 'Increments whose outcome is known' }),
  acknowledged: Type.Integer(),
  conflicts: Type.Integer({ description: 'Attempts that met a conflict' }),
  retries: Type.Integer(),
  final: Type.Integer({ description: 'What the count says at the end, from zero' }),
  lost: Type.Integer({ description: 'Acknowledged increments that are missing from it' }),
  witness: Type.Union([
    Type.Null(),
    Type.Object(
      { value: Type.Integer(), workers: Type.Array(Type.Integer()) },
      { description: 'Two increments that both wrote this value' },
    ),
  ]),
  duration_ms: Type.Number(),
  increments_per_second: Type.Number(),
  timeline: Type.Array(timelineEntry, { description: 'The statements of the witness, or of the beginning' }),
});

const raceAnswer = Type.Array(trialResult, {
  description: 'What came of each strategy',
  examples: [
    [
      {
        strategy: 'unsafe',
        claim: 'loses',
        verdict: 'loses',
        holds: true,
        violations: ['two increments wrote 1'],
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
  summary: 'Races strategies, and says which claims hold',
  body: raceBody,
  response: { 200: raceAnswer },
};

export const streamSchema = {
  tags,
  summary: 'The same, live, as server-sent events: waiting, start, progress, result, problem, end',
  querystring: raceQuery,
  response: {
    200: eventStream(
      'Events, each with JSON as its data; `result` has what POST /races answers for a strategy',
      'event: start\ndata: {"strategy":"unsafe","claim":"loses","expected":50}\n\n',
    ),
  },
};
