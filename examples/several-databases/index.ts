import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();
const cutOver = config.getObject<string[]>("cutOver") ?? [];

const migration = new PgMigration("severaldatabases", {
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
  migrationMode: "Online",
  // Cut over one application after the other: pulumi config set cutOver '["crm"]' && pulumi up
  triggerCutover: cutOver.length > 0,
  dbsToTriggerCutoverOn: cutOver,
});

export const status = migration.currentStatus;
