import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { problems } from '../errors/problem.ts';
import { noQuery } from './validation.ts';

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Registry;
  }
}

/** Metrics of the requests, the pool and the process for Prometheus, at /metrics. */
export const metrics = fastifyPlugin(async (app: FastifyInstance) => {
  const register = new Registry();
  app.decorate('metrics', register);
  collectDefaultMetrics({ register });
  poolMetrics(app, register);
  requestMetrics(app, register);
  app.get('/metrics', {
    logLevel: 'warn',
    schema: { hide: true, querystring: noQuery },
    handler: async (_request, reply) => reply.type(register.contentType).send(await register.metrics()),
  });
});

function requestMetrics(app: FastifyInstance, register: Registry): void {
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the headers of the request to the end of its answer; status 499: the client disconnected before the end',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [register],
  });
  // Building labels costs more than counting, so each combination is built once. Routes are used instead of paths, so
  // that the number of combinations is bounded.
  const known = new Map<string, { observe(seconds: number): void }>();
  const count = (request: FastifyRequest, status: number, ms: number) => {
    const { method } = request;
    const route = routeOf(request);
    const name = `${status} ${method} ${route}`;
    let duration = known.get(name);
    if (!duration) {
      duration = durations.labels({ method, route, status });
      known.set(name, duration);
    }
    duration.observe(ms / 1000);
  };
  // Not in onResponse, which is not called if the client disconnects before the end of the answer.
  app.addHook('onRequest', (request, { raw }, done) => {
    const start = performance.now();
    let finished = false;
    raw.once('finish', () => {
      finished = true;
      count(request, raw.statusCode, performance.now() - start);
    });
    raw.once('close', () => {
      if (finished) return;
      const ms = performance.now() - start;
      count(request, CLIENT_GONE, ms);
      request.log.info(
        { status: CLIENT_GONE, responseTime: ms },
        'the client disconnected before the end of its answer',
      );
    });
    done();
  });
}

const CLIENT_GONE = problems.client_gone.status;

const routeOf = ({ routeOptions }: FastifyRequest): string => routeOptions.url ?? 'none';

function poolMetrics(app: FastifyInstance, register: Registry): void {
  const connections = new Gauge({
    name: 'safe_counters_pool_connections',
    help: 'Connections of the pool of POOL_MAX (main) and of that of the counters: idle and used ones, and callers waiting for one',
    labelNames: ['pool', 'state'],
    registers: [],
    collect() {
      const { sessions: main, counters } = app.database;
      for (const [pool, { load }] of Object.entries({ main, counters })) {
        this.set({ pool, state: 'idle' }, load.idle);
        this.set({ pool, state: 'used' }, load.total - load.idle);
        this.set({ pool, state: 'waiting' }, load.waiting);
      }
    },
  });
  register.registerMetric(connections);
}
