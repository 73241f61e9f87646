FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
# Before the sources, so that a change of the sources does not repeat the installation.
COPY package.json package-lock.json .npmrc ./
# Without the optional packages: DATABASE_URL is required, the log is in JSON lines, and REDIS_URL is refused.
RUN npm ci --omit=dev --omit=optional
# These are nearly a third of the size, and only editors and debuggers read them.
RUN find node_modules -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' \) -delete

FROM node:24-bookworm-slim
# 0.0.0.0: inside a container the default, 127.0.0.1, could not be reached from outside it.
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
# Without the stage above and npm's cache. All files belong to root, so that the service cannot change itself.
COPY --from=dependencies /app/node_modules node_modules
# Node reads `"type": "module"` from it, and the service its version.
COPY package.json ./
COPY migrations migrations
COPY src src
# For `docker run IMAGE verify DATABASE_URL` and `docker run IMAGE migrate`. Links, because Node recognizes TypeScript by the
# extension of the target.
RUN ln -s /app/src/verify/main.ts /usr/local/bin/verify && ln -s /app/src/migrate.ts /usr/local/bin/migrate
USER node
EXPOSE 3000
# Not /health/ready: an orchestrator would restart all replicas while the database is away. Through node, because the image
# has no curl; a failed fetch rejects, which ends node with 1 too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/health/live`).then((r) => process.exit(r.ok ? 0 : 1))"]
# No shell and no npm in between: node is process 1 and receives SIGTERM itself.
CMD ["node", "src/server.ts"]
