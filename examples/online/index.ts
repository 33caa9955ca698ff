import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

const migration = new PgMigration("onlinemigration", {
  source: {
    host: config.require("sourceHost"),
    port: config.getNumber("sourcePort") ?? 5432,
    user: config.require("sourceUser"),
    password: config.requireSecret("sourcePassword"),
    sslMode: "Prefer",
  },
  target: {
    host: config.require("targetHost"),
    port: config.getNumber("targetPort") ?? 5432,
    user: config.require("targetUser"),
    password: config.requireSecret("targetPassword"),
    sslMode: "Prefer",
  },
  dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
  migrationMode: "Online",
  overwriteDbsInTarget: config.getBoolean("overwriteDbsInTarget") ?? false,
  // To cut over: pulumi config set triggerCutover true && pulumi up
  triggerCutover: config.getBoolean("triggerCutover") ?? false,
});

export const status = migration.currentStatus;
