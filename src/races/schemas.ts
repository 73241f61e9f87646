import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { strategies } from '../strategies/index.ts';
import { claim } from '../strategies/schemas.ts';

export const CONTENDERS_MAX = 64;
export const ROUNDS_MAX = 1000;
/** Increments of one strategy's race at most, over all its contenders. */
export const INCREMENTS_MAX = 10_000;

const names = Type.Enum(
  strategies.map(({ name }) => name),
  { description: 'The name of a strategy, as GET /strategies lists them' },
);

const contenders = Type.Integer({
  minimum: 1,
  maximum: CONTENDERS_MAX,
  default: 2,
  description: 'How many add at the same time, each with a session of its own',
});

const rounds = Type.Integer({
  minimum: 1,
  maximum: ROUNDS_MAX,
  default: 25,
  description: `How often each of them adds 1; with the contenders ${INCREMENTS_MAX} in all at most`,
});

const strict = { additionalProperties: false };

export const raceBody = Type.Object(
  {
    strategies: Type.Optional(
      Type.Array(names, {
        minItems: 1,
        uniqueItems: true,
        description: 'Which ones, in this order; default: all',
      }),
    ),
    contenders,
    rounds,
  },
  {
    ...strict,
    examples: [{ strategies: ['unsafe', 'pessimistic', 'group-commit'], contenders: 2, rounds: 25 }],
  },
);

export const raceQuery = Type.Object(
  {
    strategies: Type.Optional(
      Type.String({ description: 'Names of strategies, with commas between them; default: all of them' }),
    ),
    contenders,
    rounds,
  },
  strict,
);

const event = Type.Object({
  at_ms: Type.Number({ description: 'When it was sent, since the race began' }),
  took_ms: Type.Number({ description: 'How long its answer took, waiting for locks included' }),
  worker: Type.Integer(),
  backend_pid: Type.Integer(),
  sql: Type.String(),
  like: Type.Optional(Type.Integer({ description: 'The likes that it read' })),
  rows: Type.Optional(Type.Integer({ description: 'Rows read or written' })),
  error: Type.Optional(Type.String({ description: 'The SQLSTATE or the message that it failed with' })),
});

const result = Type.Object({
  strategy: Type.String(),
  claim,
  verdict: claim,
  holds: Type.Boolean({ description: 'Whether the claim does' }),
  violations: Type.Array(Type.String(), { description: 'The rules of a counter that the history breaks' }),
  attempted: Type.Integer(),
  acknowledged: Type.Integer(),
  conflicts: Type.Integer({ description: 'Attempts that somebody else was faster than' }),
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
  timeline: Type.Array(event, { description: 'The statements of the witness, or of the beginning' }),
});

export const raceAnswer = Type.Array(result, {
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
          { at_ms: 0.1, took_ms: 0.6, worker: 1, backend_pid: 4242, sql: 'select …', like: 0, rows: 1 },
        ],
      },
    ],
  ],
});

export const raceEvents = {
  description: 'Events, each with JSON as its data; `result` has what POST /races answers for a strategy',
  content: {
    'text/event-stream': {
      // What is sent is a stream; what arrives is text.
      schema: Type.Unsafe<Readable>({
        type: 'string',
        example: 'event: start\ndata: {"strategy":"unsafe","claim":"loses","expected":50}\n\n',
      }),
    },
  },
};
