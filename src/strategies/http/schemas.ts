import { Type } from 'typebox';
import { strategies } from '../index.ts';
import { FIRST_REQUESTED, REQUESTED_MAX } from './requested-posts.ts';

/** The answer of GET /strategies. */
export const listed = strategies.map(({ name, summary, claim: claims, attempts }) => ({
  name,
  summary,
  claim: claims,
  attempts,
}));

export const claim = Type.Enum(['exact', 'rejects', 'loses'], {
  description:
    'exact: every acknowledged increment is counted; rejects: the same, but increments may be refused; loses: acknowledged increments are lost',
});

const strategiesAnswer = Type.Array(
  Type.Object({
    name: Type.String({ description: 'The name of the strategy' }),
    summary: Type.String({ description: 'How it counts, in one sentence' }),
    claim,
    attempts: Type.Integer({
      description: 'The maximum number of attempts of an increment that meets conflicts',
    }),
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
    description: 'The key of a post that was created by POST /strategies/{strategy}/posts',
    examples: [FIRST_REQUESTED],
  }),
});

const postAnswer = Type.Object(
  {
    pk: Type.Integer({ description: 'The key of the post' }),
    likes: Type.Integer({ description: 'The number of likes, as this strategy counts them' }),
  },
  {
    description: 'The post and its likes',
    examples: [{ pk: FIRST_REQUESTED, likes: 0 }],
  },
);

const incrementAnswer = Type.Object(
  {
    like: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The number of likes that the increment wrote; null if the strategy does not know it',
    }),
    conflicts: Type.Integer({ description: 'Attempts that met a conflict' }),
  },
  { description: 'The increment was committed', examples: [{ like: 1, conflicts: 0 }] },
);

const tags = ['Strategies'];

export const listSchema = {
  tags,
  summary: 'List the strategies',
  response: { 200: strategiesAnswer },
};

export const makeSchema = {
  tags,
  summary: 'Create a post to count on',
  description: `At most ${REQUESTED_MAX} posts are kept: each new one above that replaces the oldest one.`,
  params: strategyParams,
  response: { 201: postAnswer },
};

export const countSchema = {
  tags,
  summary: 'Read the likes of a post',
  params: postParams,
  response: { 200: postAnswer },
};

export const incrementSchema = {
  tags,
  summary: 'Add 1 to the likes of a post',
  params: postParams,
  response: { 200: incrementAnswer },
};

export const removeSchema = {
  tags,
  summary: 'Delete a post',
  params: postParams,
  response: { 204: Type.Null() },
};
