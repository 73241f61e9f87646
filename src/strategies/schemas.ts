import { Type } from 'typebox';
import { strategies } from './index.ts';

export const claim = Type.Enum(['exact', 'rejects', 'loses'], {
  description:
    'exact: every acknowledged increment counts; rejects: some may be refused, the acknowledged count; loses: some do not',
});

export const strategiesAnswer = Type.Array(
  Type.Object({
    name: Type.String(),
    summary: Type.String({ description: 'What it does and what comes of it' }),
    claim,
    attempts: Type.Integer({ description: 'How often an increment is tried, when somebody else was faster' }),
  }),
  {
    description: 'The strategies, in teaching order',
    examples: [
      strategies.slice(0, 1).map(({ name, summary, claim: claims, attempts }) => ({
        name,
        summary,
        claim: claims,
        attempts,
      })),
    ],
  },
);

export const strategyParams = Type.Object({
  strategy: Type.Enum(
    strategies.map(({ name }) => name),
    { description: 'The name of a strategy' },
  ),
});

export const postParams = Type.Object({
  ...strategyParams.properties,
  pk: Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'The key of a post' }),
});

export const postAnswer = Type.Object(
  { pk: Type.Integer(), likes: Type.Integer() },
  { description: 'A post and its likes, as this strategy counts them', examples: [{ pk: 2, likes: 0 }] },
);

export const incrementAnswer = Type.Object(
  {
    like: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The likes it wrote; null where nobody can know',
    }),
    conflicts: Type.Integer({ description: 'Attempts that somebody else was faster than' }),
  },
  { description: 'The increment was committed', examples: [{ like: 1, conflicts: 0 }] },
);
