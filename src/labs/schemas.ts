import { Type } from 'typebox';
import { timelineEntry } from '../timeline/entry.ts';

const text = (description: string) => Type.String({ description });

const fields = {
  lab: text('The name of the lab'),
  experiment: text('The name of the experiment'),
  claim: text('The claim: what the experiment must observe, in one sentence'),
  holds: Type.Union([Type.Boolean(), Type.Null()], {
    description:
      'Whether the claim holds; null if it is not supported here: the figure `verdict` says what it needs',
  }),
  evidence: Type.Object(
    {
      timeline: Type.Array(timelineEntry, {
        description: 'The steps of all sessions, in the order in which they began',
      }),
      figures: Type.Record(Type.String(), Type.Unknown(), {
        description: 'The figures that decide the claim',
      }),
    },
    { description: 'What was observed' },
  ),
};

const example = {
  lab: 'isolation',
  experiment: 'p4-lost-update',
  claim: 'P4, lost update: two transactions read the same value and each writes a new one based on it: …',
  holds: true,
  evidence: {
    timeline: [
      {
        at_ms: 12.6,
        session: 'T2',
        backend_pid: 4243,
        sql: 'update test set value = 11 where id = 1',
        took_ms: 3.1,
        summary: 'writes 11',
        row_count: 1,
        blocked_by: ['T1'],
        blocked_ms: 2.2,
        part: 'read committed',
      },
    ],
    figures: {
      cells: {
        'read committed': {
          verdict: 'possible',
          seen: 'T1 1→10, T2 1→10, T2 ⏸ T1 = 1→11 2→20',
          final: [{ id: 1, value: 11 }],
        },
      },
    },
  },
};

const experimentAnswer = Type.Object(fields, {
  description: 'Whether the claim holds, and the evidence',
  examples: [example],
});

const labAnswer = Type.Object(
  {
    lab: text('The name of the lab'),
    holds: Type.Boolean({
      description: 'Whether all claims hold, apart from those that are not supported here',
    }),
    conclusions: Type.Record(Type.String(), Type.Unknown(), {
      description:
        'Conclusions from all experiments together; for isolation, the two matrices; otherwise empty',
    }),
    experiments: Type.Array(Type.Object(fields), { description: 'The experiments, in teaching order' }),
  },
  {
    description: 'The results of all experiments of the lab',
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

const verdict = Type.Enum(['possible', 'prevented']);

const anomaly = Type.Object(
  {
    code: text('Its code in Adya’s thesis and the Hermitage project; several experiments can share one'),
    name: text('The name of the anomaly'),
    meaning: text('The meaning of the anomaly, in one clause'),
    expected: Type.Record(Type.String(), verdict, {
      description:
        'Whether PostgreSQL allows it at each isolation level, weakest first: possible or prevented',
    }),
  },
  { description: 'The anomaly that the experiment tests at every isolation level, if it is about one' },
);

const labsAnswer = Type.Array(
  Type.Object({
    lab: text('The name of the lab'),
    summary: text('The subject of the lab, in one sentence'),
    terms: Type.Array(Type.Object({ term: text('The term'), meaning: text('The meaning of the term') }), {
      description: 'The terms of the claims, explained',
    }),
    experiments: Type.Array(
      Type.Object({
        experiment: text('The name of the experiment'),
        claim: text('The claim: what the experiment must observe, in one sentence'),
        cure: Type.Optional(text('Code that avoids the problem, in a few lines of TypeScript or SQL')),
        anomaly: Type.Optional(anomaly),
      }),
      { description: 'The experiments, in teaching order' },
    ),
  }),
  {
    description: 'The labs',
    examples: [
      [
        {
          lab: 'isolation',
          summary:
            'What each isolation level of PostgreSQL allows, shown by schedules of two or three sessions.',
          terms: [
            { term: 'transaction', meaning: 'Several statements that take effect together, or not at all.' },
          ],
          experiments: [
            {
              experiment: example.experiment,
              claim: example.claim,
              anomaly: {
                code: 'P4',
                name: 'lost update',
                meaning: 'two transactions read the same value and each writes a new one based on it',
                expected: { 'read committed': 'possible', 'repeatable read': 'prevented' },
              },
            },
          ],
        },
      ],
    ],
  },
);

const tags = ['Laboratories'];

/** The name of a lab or an experiment. */
const name = (given: string) =>
  Type.String({ description: 'The name, as listed by GET /labs', examples: [given] });

export const listSchema = {
  tags,
  summary: 'List the labs and their experiments',
  response: { 200: labsAnswer },
};

export const labSchema = {
  tags,
  summary: 'Run all experiments of a lab',
  params: Type.Object({ lab: name('isolation') }),
  response: { 200: labAnswer },
};

export const experimentSchema = {
  tags,
  summary: 'Run an experiment',
  params: Type.Object({ lab: name('isolation'), experiment: name('p4-lost-update') }),
  response: { 200: experimentAnswer },
};
