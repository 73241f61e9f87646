import { Type } from 'typebox';
import { strategies } from './index.ts';
import { FIRST_REQUESTED, REQUESTED_MAX } from './requested-posts.ts';

/** What GET /strategies answers. */
export const listed = strategies.map(({ name, summary, claim: claims, attempts }) => ({
  name,
  summary,
  claim: claims,
  attempts,
}));

export const claim = Type.Enum(['exact', 'rejects', 'loses'], {
  description:
    'exact: every acknowledged increment counts; rejects: some may be refused, the acknowledged count; loses: some do not',
});

const strategiesAnswer = Type.Array(
  Type.Object({
    name: Type.String(),
    summary: Type.String({ description: 'What it does and what comes of it' }),
    claim,
    attempts: Type.Integer({ description: 'How often an increment is tried when it meets conflicts' }),
  }),
  {
    description: 'The strategies, in teaching order',
    examples: [listed.slice(0, 1)],
  },
);

const strategyParams = Type.Object({
  strategy: Type.Enum(
    strategies.map(({ name }) => name),
    { description: 'The name of a strategy' },
  ),
});

const postParams = Type.Object({
  ...strategyParams.properties,
  pk: Type.Integer({
    minimum: FIRST_REQUESTED,
    maximum: 2_147_483_647,
    description: 'The key of a post that was made by POST /strategies/{strategy}/posts',
    examples: [FIRST_REQUESTED],
  }),
});

const postAnswer = Type.Object(
  { pk: Type.Integer(), likes: Type.Integer() },
  {
    description: 'A post and its likes, as this strategy counts them',
    examples: [{ pk: FIRST_REQUESTED, likes: 0 }],
  },
);

const incrementAnswer = Type.Object(
  {
    like: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The likes it wrote; null where the strategy cannot know',
    }),
    conflicts: Type.Integer({ description: 'Attempts that met a conflict' }),
  },
  { description: 'The increment was committed', examples: [{ like: 1, conflicts: 0 }] },
);

const tags = ['Strategies'];

export const listSchema = {
  tags,
  summary: 'Every way to count, and what it claims',
  response: { 200: strategiesAnswer },
};

export const makeSchema = {
  tags,
  summary: 'Makes a post to count with this strategy',
  description: `At most ${REQUESTED_MAX} are kept: with each further one the oldest is removed.`,
  params: strategyParams,
  response: { 201: postAnswer },
};

export const countSchema = {
  tags,
  summary: 'Counts its likes',
  params: postParams,
  response: { 200: postAnswer },
};

export const incrementSchema = {
  tags,
  summary: 'Adds 1',
  params: postParams,
  response: { 200: incrementAnswer },
};

export const removeSchema = {
  tags,
  summary: 'Removes the post',
  params: postParams,
  response: { 204: Type.Null() },
};
