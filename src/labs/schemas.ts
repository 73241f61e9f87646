import { Type } from 'typebox';

const text = (description: string) => Type.String({ description });
const ms = (description: string) => Type.Number({ description: `${description}, in milliseconds` });

const entry = Type.Object({
  at_ms: ms('When it was begun, since the experiment began'),
  session: text('Who: a named session, or a task of the program'),
  sql: Type.Optional(text('What was sent to the server')),
  event: Type.Optional(text('What happened outside of it')),
  backend_pid: Type.Optional(Type.Integer({ description: 'The process that served it' })),
  took_ms: Type.Optional(ms('Until it was answered')),
  rows: Type.Optional(Type.Array(Type.Unknown(), { description: 'The first rows that came back' })),
  row_count: Type.Optional(Type.Integer({ description: 'Rows returned or written' })),
  command: Type.Optional(text('What the server did, where that is not what it was asked to do')),
  sqlstate: Type.Optional(text('How it failed: PostgreSQL’s code, or the system’s')),
  message: Type.Optional(text('How it failed, in words')),
  blocked_by: Type.Optional(Type.Array(Type.String(), { description: 'Whose locks it waited for' })),
  blocked_ms: Type.Optional(ms('How long it was seen waiting')),
  part: Type.Optional(text('The run it belongs to, in an experiment that has several')),
});

const fields = {
  lab: Type.String(),
  experiment: Type.String(),
  claim: text('What must be seen'),
  holds: Type.Boolean({ description: 'Whether it was seen' }),
  evidence: Type.Object({
    timeline: Type.Array(entry, { description: 'Who did what and when' }),
    figures: Type.Record(Type.String(), Type.Unknown(), { description: 'What the claim is decided by' }),
  }),
};

const example = {
  lab: 'isolation',
  experiment: 'p4-lost-update',
  claim: 'P4, lost update: two transactions read the same and both write what follows from it: …',
  holds: true,
  evidence: {
    timeline: [
      {
        at_ms: 12.6,
        session: 'T2',
        backend_pid: 4243,
        sql: 'update test set value = 11 where id = 1',
        took_ms: 3.1,
        row_count: 1,
        blocked_by: ['T1'],
        blocked_ms: 2.2,
        part: 'read committed',
      },
    ],
    figures: {
      cells: {
        'read committed': { verdict: 'possible', seen: 'T1 1→10, T2 1→10, T2 ⏸ T1 = 1→11 2→20' },
      },
    },
  },
};

export const experimentAnswer = Type.Object(fields, {
  description: 'Whether the claim holds, and the evidence',
  examples: [example],
});

export const labAnswer = Type.Object(
  {
    lab: Type.String(),
    holds: Type.Boolean({ description: 'Whether all claims hold' }),
    conclusions: Type.Record(Type.String(), Type.Unknown(), {
      description: 'What follows from all of them together; for isolation, the two matrices',
    }),
    experiments: Type.Array(Type.Object(fields)),
  },
  {
    description: 'Every experiment of the lab',
    examples: [
      {
        lab: 'isolation',
        holds: true,
        conclusions: {
          anomalies: { 'p4-lost-update': { 'read committed': 'possible', 'repeatable read': 'prevented' } },
          phenomena: { serializable: { 'phantom read': 'not possible' } },
        },
        experiments: [example],
      },
    ],
  },
);

export const labsAnswer = Type.Array(
  Type.Object({
    lab: Type.String(),
    summary: Type.String(),
    experiments: Type.Array(
      Type.Object({
        experiment: Type.String(),
        claim: Type.String(),
        cure: Type.Optional(text('What to write instead, in a few lines of TypeScript or SQL')),
      }),
    ),
  }),
  {
    description: 'The labs',
    examples: [
      [
        {
          lab: 'isolation',
          summary:
            'What each isolation level of PostgreSQL lets happen, as schedules of two or three sessions.',
          experiments: [{ experiment: example.experiment, claim: example.claim }],
        },
      ],
    ],
  },
);
