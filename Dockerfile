# The worker of a migration, for `runner: "external"` and for the runners in docs/runners.md:
#
#   docker build --tag registry.example.com/pg-migration:0.1.0 .
#   docker run --env PG_MIGRATION_JOB registry.example.com/pg-migration:0.1.0
#
# The job, JSON with the migration's name and both servers, comes in PG_MIGRATION_JOB, or in the file that
# PG_MIGRATION_JOB_FILE names. The worker waits until the migration is recorded, and ends once it is deleted. With the
# argument --wait instead of --stay it ends with the migration.

# This variant of the image contains strip.
FROM node:24-bookworm AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY provider/package.json provider/
COPY lab-stack/package.json lab-stack/
RUN npm ci --workspace provider --ignore-scripts
COPY tsconfig.base.json ./
COPY provider provider
RUN node provider/build-image.mjs /image
RUN strip --strip-unneeded -o /node "$(command -v node)"

# Debian's C and C++ libraries and certificates: no shell, no package manager, an unprivileged user.
FROM gcr.io/distroless/cc-debian12:nonroot
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /node /usr/local/bin/node
COPY --from=build /image ./
# Nothing below /app belongs to this user. The worker writes no file, so the root file system may be read-only.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/node", "bin/pg-migration.js", "worker"]
CMD ["--stay"]
