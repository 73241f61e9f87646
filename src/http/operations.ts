import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { type Risk, risks } from '../database/server-state.ts';
import { Problem, problems } from '../errors/problem.ts';
import { DATABASE_READ } from './problem-answers.ts';

/** A database that takes longer than this to answer is not ready, in milliseconds. */
const READY_MS_MAX = 1000;

const statusField = Type.String({ description: 'What holds, in one word' });

const health = (status: string) =>
  Type.Object({ status: statusField }, { description: status, examples: [{ status }] });

const readiness = Type.Object(
  {
    status: statusField,
    risks: Type.Array(
      Type.Object({
        risk: Type.Enum(Object.keys(risks), { description: 'The kind of risk, for programs' }),
        meaning: Type.String({ description: 'The risk in words' }),
      }),
      {
        description:
          'Why a write could be refused, or lost although it was acknowledged; empty: no reason is known',
      },
    ),
  },
  { description: 'ready', examples: [{ status: 'ready', risks: [] }] },
);

/** Health, and what the problems mean. */
export const operationsRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const tags = ['Operations'];
  // Monitors ask every few seconds: only failures are logged.

  app.get('/health/live', {
    logLevel: 'warn',
    schema: { tags, summary: 'Check that the process answers', response: { 200: health('live') } },
    handler: async () => ({ status: 'live' }),
  });

  app.get('/health/ready', {
    logLevel: 'warn',
    config: { problems: [...DATABASE_READ, 'read_only'] },
    schema: {
      tags,
      summary: 'Check that the database takes writes',
      description: 'Asks the database, within a second, and lists what its commits do not guarantee.',
      response: { 200: readiness },
    },
    handler: async () => {
      const state = await app.database.server.ask(READY_MS_MAX);
      if (state.readOnly)
        throw new Problem('read_only', 'the database accepts no writes: it is a standby, or read-only');
      // It answers, and reading works: no reason to take it, and all replicas with it, out of service.
      const names: Risk[] = app.database.disk.isFull ? [...state.risks, 'disk_full'] : state.risks;
      return { status: 'ready', risks: names.map((risk) => ({ risk, meaning: risks[risk] })) };
    },
  });

  const problem = Type.Object({
    status: Type.Integer({ description: 'The HTTP status of such an answer' }),
    code: Type.String({ description: 'The kind of problem, for programs' }),
    title: Type.String({ description: 'The code in words' }),
  });
  app.get('/problems', {
    schema: {
      tags,
      summary: 'List the problem codes',
      response: {
        200: Type.Array(problem, {
          description: 'The problem codes with their status and title',
          examples: [[{ status: problems.busy.status, code: 'busy', title: problems.busy.title }]],
        }),
      },
    },
    handler: async () =>
      Object.entries(problems).map(([code, { status, title }]) => ({ status, code, title })),
  });
};
