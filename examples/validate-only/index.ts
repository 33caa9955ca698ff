import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

// Only the findings are recorded on the target; nothing else is written on either server. To migrate later with the same
// resource, set migrationOption to ValidateAndMigrate.
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
