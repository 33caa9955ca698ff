import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

/*
 * `pulumi up` records the inputs and waits for a worker. The worker runs near the databases, under systemd or in a
 * container, and gets the passwords there:
 *
 *   PGPASSWORD=... PG_MIGRATION_SOURCE_PASSWORD=... pg-migration worker --host my.postgres.database.azure.com \
 *     --user azureadmin --name externalworker
 */
const migration = new PgMigration("externalworker", {
  source: {
    host: config.require("sourceHost"),
    port: config.getNumber("sourcePort") ?? 5432,
    user: config.require("sourceUser"),
    password: config.requireSecret("sourcePassword"),
  },
  target: {
    host: config.require("targetHost"),
    port: config.getNumber("targetPort") ?? 5432,
    user: config.require("targetUser"),
    password: config.requireSecret("targetPassword"),
  },
  dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
  runner: "external",
});

export const status = migration.currentStatus;
