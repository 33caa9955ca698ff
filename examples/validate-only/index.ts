import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

// Nothing is written on either side but the record of what was found. Setting migrationOption to ValidateAndMigrate, in
// a later update, has the same resource migrate.
const validation = new PgMigration("validation", {
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
  migrationOption: "Validate",
});

export const status = validation.currentStatus;
export const findings = validation.currentStatus.currentSubStateDetails.validationDetails;
