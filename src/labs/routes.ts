import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { Problem } from '../errors/problem.ts';
import { clientGone } from '../http/signals.ts';
import { refuseBody } from '../http/validation.ts';
import type { LabConfig } from './bench/context.ts';
import type { Experiment, Findings, Lab } from './experiment.ts';
import { glossary } from './glossary.ts';
import { labs } from './index.ts';
import { Laboratory } from './laboratory.ts';
import { importRedis } from './state/cache.ts';
import { experimentAnswer, labAnswer, labsAnswer } from './schemas.ts';

interface LabsOptions {
  config: LabConfig;
  databaseUrl: string;
  /** Aborted when the service stops waiting for what is under way. */
  closing: AbortSignal;
}

const tags = ['Laboratories'];

/** The name of a lab or an experiment. */
const name = (example: string) => Type.String({ description: 'As GET /labs lists it', examples: [example] });

/** The laboratories: what there is, and what is seen when it is run. */
export const labsRoutes: FastifyPluginAsyncTypebox<LabsOptions> = async (app, options) => {
  const { config, databaseUrl, closing } = options;
  const log = {
    info: (message: string) => app.log.info(message),
    warn: (message: string) => app.log.warn(message),
  };
  if (config.REDIS_URL) await importRedis();
  const laboratory = new Laboratory({ databaseUrl, config, log });
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  app.addHook('preValidation', refuseBody);

  app.get('/labs', {
    schema: {
      tags,
      summary: 'The labs, their experiments, and what each claims',
      response: { 200: labsAnswer },
    },
    handler: async () =>
      labs.map(({ name: lab, summary, terms, experiments }) => ({
        lab,
        summary,
        terms: terms.map((term) => ({ term, meaning: glossary[term] })),
        experiments: experiments.map((one) => ({
          experiment: one.name,
          claim: one.claim,
          ...(one.cure ? { cure: one.cure.trim() } : {}),
          ...(one.anomaly ? { anomaly: one.anomaly } : {}),
        })),
      })),
  });

  app.post('/labs/:lab', {
    schema: {
      tags,
      summary: 'Runs all experiments of a lab, one after another',
      params: Type.Object({ lab: name('isolation') }),
      response: { 200: labAnswer },
    },
    handler: async ({ params }, reply) => {
      const lab = findLab(params.lab);
      const stop = AbortSignal.any([clientGone(reply), closing]);
      const findings = new Map<string, Findings>();
      for (const experiment of lab.experiments) {
        findings.set(experiment.name, await laboratory.run(experiment, stop));
      }
      return {
        lab: lab.name,
        holds: [...findings.values()].every(({ holds }) => holds),
        conclusions: lab.conclude?.(findings) ?? {},
        experiments: lab.experiments.flatMap((experiment) => {
          const found = findings.get(experiment.name);
          return found ? [shown(lab, experiment, found)] : [];
        }),
      };
    },
  });

  app.post('/labs/:lab/:experiment', {
    schema: {
      tags,
      summary: 'Runs one experiment',
      params: Type.Object({ lab: name('isolation'), experiment: name('p4-lost-update') }),
      response: { 200: experimentAnswer },
    },
    handler: async ({ params }, reply) => {
      const lab = findLab(params.lab);
      const experiment = lab.experiments.find((one) => one.name === params.experiment);
      if (!experiment) throw new Problem('not_found', `lab ${lab.name} has no such experiment; see /labs`);
      const stop = AbortSignal.any([clientGone(reply), closing]);
      return shown(lab, experiment, await laboratory.run(experiment, stop));
    },
  });
};

/** @throws {Problem} when there is none */
function findLab(wanted: string): Lab {
  const lab = labs.find((one) => one.name === wanted);
  if (lab) return lab;
  throw new Problem('not_found', `there is no such lab; there are ${labs.map((one) => one.name).join(', ')}`);
}

function shown(lab: Lab, { name: experiment, claim }: Experiment, { holds, evidence }: Findings) {
  const { timeline, figures } = evidence;
  return {
    lab: lab.name,
    experiment,
    claim,
    holds,
    evidence: { timeline: [...timeline], figures: { ...figures } },
  };
}
