import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Problem } from '../errors/problem.ts';
import { DATABASE_WRITE } from '../http/problem-answers.ts';
import { clientGone, withDeadline } from '../http/signals.ts';
import { refuseBody } from '../http/validation.ts';
import type { LabConfig } from './bench/session-options.ts';
import type { Experiment, Findings, Lab } from './bench/experiment.ts';
import { glossary } from './bench/glossary.ts';
import { labs } from './index.ts';
import { Laboratory } from './laboratory.ts';
import { experimentSchema, labSchema, listSchema } from './schemas.ts';
import { importRedis } from './state/cache.ts';

interface LabsOptions {
  config: LabConfig;
  databaseUrl: string;
  /** Aborted when the service stops waiting for requests in flight. */
  closing: AbortSignal;
  /** How long all experiments of a lab may take, including the wait for their turn, in milliseconds. */
  labMsMax?: number;
}

/** The time limit for a lab, in milliseconds: as for races. */
const LAB_MS_MAX = 120_000;

/** The problems of a route that runs experiments. */
const EXPERIMENT = [...DATABASE_WRITE, 'not_found', 'queue_full', 'out_of_time'] as const;

/** Lists the laboratories and runs their experiments. */
export const labsRoutes: FastifyPluginAsyncTypebox<LabsOptions> = async (app, options) => {
  const { config, databaseUrl, closing, labMsMax = LAB_MS_MAX } = options;
  const log = {
    info: (message: string) => app.log.info(message),
    warn: (message: string) => app.log.warn(message),
  };
  if (config.REDIS_URL) await importRedis();
  const laboratory = new Laboratory({ databaseUrl, config, log });
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  app.addHook('preValidation', refuseBody);

  app.get('/labs', { schema: listSchema, handler: async () => labs.map(describeLab) });
  app.post('/labs/:lab', {
    config: { problems: EXPERIMENT },
    schema: labSchema,
    handler: async ({ params }, reply) => {
      const lab = labNamed(params.lab);
      const stops = [clientGone(reply), closing];
      return withDeadline(labMsMax, stops, (stop) => runLab(laboratory, lab, stop));
    },
  });
  app.post('/labs/:lab/:experiment', {
    config: { problems: EXPERIMENT },
    schema: experimentSchema,
    handler: async ({ params }, reply) => {
      const lab = labNamed(params.lab);
      const experiment = experimentNamed(lab, params.experiment);
      const stop = AbortSignal.any([clientGone(reply), closing]);
      return resultOf(lab, experiment, await laboratory.run(experiment, stop));
    },
  });
};

const describeLab = ({ name, summary, terms, experiments }: Lab) => ({
  lab: name,
  summary,
  terms: terms.map((term) => ({ term, meaning: glossary[term] })),
  experiments: experiments.map(({ name: experiment, claim, cure, anomaly }) => ({
    experiment,
    claim,
    ...(cure ? { cure: cure.trim() } : {}),
    ...(anomaly ? { anomaly } : {}),
  })),
});

/** Runs all experiments of a lab, one after another. */
async function runLab(laboratory: Laboratory, lab: Lab, stop: AbortSignal) {
  const findings = new Map<string, Findings>();
  const experiments: ReturnType<typeof resultOf>[] = [];
  for (const experiment of lab.experiments) {
    const found = await laboratory.run(experiment, stop);
    findings.set(experiment.name, found);
    experiments.push(resultOf(lab, experiment, found));
  }
  const holds = experiments.every((one) => one.holds !== false);
  return { lab: lab.name, holds, conclusions: lab.conclude?.(findings) ?? {}, experiments };
}

/** @throws {Problem} when there is no such lab */
function labNamed(wanted: string): Lab {
  const lab = labs.find((one) => one.name === wanted);
  if (lab) return lab;
  throw new Problem('not_found', `there is no such lab; allowed: ${labs.map((one) => one.name).join(', ')}`);
}

/** @throws {Problem} when there is no such experiment */
function experimentNamed(lab: Lab, wanted: string): Experiment {
  const experiment = lab.experiments.find((one) => one.name === wanted);
  if (experiment) return experiment;
  throw new Problem(
    'not_found',
    `the lab ${lab.name} has no such experiment; allowed: ${lab.experiments.map((one) => one.name).join(', ')}`,
  );
}

function resultOf(lab: Lab, { name: experiment, claim }: Experiment, found: Findings) {
  const { holds, timeline, figures } = found;
  const evidence = { timeline: [...timeline], figures: { ...figures } };
  return { lab: lab.name, experiment, claim, holds, evidence };
}
