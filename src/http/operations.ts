import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { withinDeadline } from '../database/deadline.ts';
import { risks } from '../database/server-state.ts';
import { Problem, problems } from '../errors/problem.ts';
import { DATABASE_READ } from './problem-answers.ts';

/** If the database does not answer within this time, in milliseconds, it is not ready. */
const READY_MS_MAX = 1000;

const statusField = Type.String({ description: 'The state in one word: live or ready' });

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
          'Reasons why writes may be refused, or acknowledged writes may be lost; empty if none is known',
      },
    ),
  },
  { description: 'ready', examples: [{ status: 'ready', risks: [] }] },
);

export interface OperationsOptions {
  /** Resolves if the tables of the counters can be used. */
  check: () => Promise<void>;
}

/** Health checks, and the list of problem codes. */
export const operationsRoutes: FastifyPluginAsyncTypebox<OperationsOptions> = async (app, { check }) => {
  const tags = ['Operations'];
  // Monitoring sends these requests every few seconds, so only failures are logged.

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
      summary: 'Check that the database accepts writes',
      description:
        'Queries the database, which must answer within one second and have the tables of this version, and lists what its commits do not guarantee.',
      response: { 200: readiness },
    },
    handler: async () => {
      const state = await app.database.server.ask(READY_MS_MAX);
      await withinDeadline(check(), READY_MS_MAX);
      if (state.readOnly)
        throw new Problem(
          'read_only',
          'the database accepts no writes: it is a standby, or read-only; try again later',
        );
      // With a full disk, reads still work: a 503 here would take all replicas out of service.
      return { status: 'ready', risks: state.risks.map((risk) => ({ risk, meaning: risks[risk] })) };
    },
  });

  const problem = Type.Object({
    status: Type.Integer({ description: 'The HTTP status of an answer with this code' }),
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
