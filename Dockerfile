FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
# Before the sources, so that a change there does not install everything again.
COPY package.json package-lock.json .npmrc ./
# Not the optional ones: the database is a service of its own, the log is JSON lines, and REDIS_URL is refused.
RUN npm ci --omit=dev --omit=optional
# Nearly a third of the size, and read by editors and debuggers only.
RUN find node_modules -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' \) -delete

FROM node:24-bookworm-slim
# 0.0.0.0: inside a container the default, 127.0.0.1, could not be reached from outside it.
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
# The stage above, and with it npm's cache, is left behind. All files stay root's: the service cannot change itself.
COPY --from=dependencies /app/node_modules node_modules
# src reads it, for `"type": "module"` and for its version.
COPY package.json ./
COPY migrations migrations
COPY src src
# `docker run IMAGE verify DATABASE_URL`. A link, since Node runs TypeScript by the ending of the file behind it.
RUN ln -s /app/src/verify/main.ts /usr/local/bin/verify
USER node
EXPOSE 3000
# Through node, because the image has no curl; a failed fetch rejects, which ends node with 1 too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1))"]
# No shell and no npm in between: node is process 1 and gets SIGTERM itself.
CMD ["node", "src/server.ts"]
