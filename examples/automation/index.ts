import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

// The program of one stack, which migrates one server. deploy-all.ts sets the configuration of each stack.
const config = new pulumi.Config();

const migration = new PgMigration(pulumi.getStack(), {
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
  dbsToMigrate: config.getObject<string[]>("dbsToMigrate") ?? ["*"],
});

export const status = migration.currentStatus;
