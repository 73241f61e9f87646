import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Registry;
  }
}

/** What is measured of every request, of the pool and of the process, at /metrics as Prometheus reads it. */
export const metrics = fastifyPlugin(async (app: FastifyInstance) => {
  const register = new Registry();
  app.decorate('metrics', register);
  collectDefaultMetrics({ register });
  poolMetrics(app, register);
  requestMetrics(app, register);
  app.get('/metrics', {
    logLevel: 'warn',
    schema: { hide: true },
    handler: async (_request, reply) => reply.type(register.contentType).send(await register.metrics()),
  });
});

function requestMetrics(app: FastifyInstance, register: Registry): void {
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'From the head of the request to the end of its answer; streams count when they end',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [register],
  });
  // Putting labels together costs more than counting, so each combination is put together once. Routes, not paths:
  // there are as many as were written down, whatever is asked for.
  const known = new Map<string, { observe(seconds: number): void }>();
  app.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = routeOf(request);
    const status = reply.statusCode;
    const name = `${status} ${method} ${route}`;
    let duration = known.get(name);
    if (!duration) {
      duration = durations.labels({ method, route, status });
      known.set(name, duration);
    }
    duration.observe(reply.elapsedTime / 1000);
    done();
  });
}

const routeOf = ({ routeOptions }: FastifyRequest): string => routeOptions.url ?? 'none';

function poolMetrics(app: FastifyInstance, register: Registry): void {
  const connections = new Gauge({
    name: 'safe_counters_pool_connections',
    help: 'Connections to the database: idle, in use, and how many wait for one',
    labelNames: ['state'],
    registers: [],
    collect() {
      const { total, idle, waiting } = app.database.sessions.load;
      this.set({ state: 'idle' }, idle);
      this.set({ state: 'used' }, total - idle);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  register.registerMetric(connections);
}
