# The worker of a migration, for `runner: "external"` and for lab-stack's MigrationRunner:
#
#   docker build --tag registry.example.com/pg-migration:0.1.0 .
#   docker run --env PG_MIGRATION_JOB registry.example.com/pg-migration:0.1.0
#
# The job, JSON with the migration's name and both servers, comes in PG_MIGRATION_JOB, or in the file that
# PG_MIGRATION_JOB_FILE names. The worker waits until the migration is recorded, and ends once it is deleted.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY provider/package.json provider/
COPY lab-stack/package.json lab-stack/
RUN npm ci --workspace provider --ignore-scripts
COPY tsconfig.base.json ./
COPY provider provider
RUN npm run build --workspace provider
# The packages that obtain tokens stay: they are dependencies of the workspace. The image needs no az.
RUN npm prune --workspace provider --omit dev --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/provider/package.json provider/
COPY --from=build /app/provider/bin provider/bin
COPY --from=build /app/provider/dist provider/dist
# Debian's node images have this user; nothing below /app is its own.
USER node
ENTRYPOINT ["node", "provider/bin/pg-migration.js", "worker", "--stay"]
