import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();
const database = config.require("database");

const migration = new PgMigration("filters", {
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
  dbsToMigrate: [database],
  databaseNames: { [database]: `${database}_eu` },
  // These schemas, without temporary tables. Foreign keys and views that need an excluded object are findings.
  include: { schemas: ["sales", "crm*"] },
  exclude: { tables: ["*_staging", "sales.audit_*"] },
});

export const status = migration.currentStatus;
export const findings = migration.currentStatus.currentSubStateDetails.validationDetails;
export const connection = migration.targetConnection;
