import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type PgMigrationArgs, type ServerArgs } from "pulumi-pg-migration";

/*
 * Everything comes from the stack's configuration (`pulumi config set`), under the names of PgMigration's inputs:
 *
 *   pulumi config set sourceHost db.example.com        pulumi config set targetHost my.postgres.database.azure.com
 *   pulumi config set sourceUser postgres              pulumi config set targetUser azureadmin
 *   pulumi config set --secret sourcePassword          pulumi config set --secret targetPassword
 *   pulumi config set dbsToMigrate '["adventureworks"]'
 */
const config = new pulumi.Config();

const server = (side: "source" | "target"): ServerArgs => ({
  host: config.require(`${side}Host`),
  port: config.getNumber(`${side}Port`),
  user: config.require(`${side}User`),
  password: config.requireSecret(`${side}Password`),
  sslMode: config.get(`${side}SslMode`) as ServerArgs["sslMode"],
  sslRootCert: config.get(`${side}SslRootCert`),
});

const migration = new PgMigration(config.get("migrationName") ?? "migration", {
  source: server("source"),
  target: server("target"),
  dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
  migrationMode: config.get("migrationMode") as PgMigrationArgs["migrationMode"],
  migrationOption: config.get("migrationOption") as PgMigrationArgs["migrationOption"],
  overwriteDbsInTarget: config.getBoolean("overwriteDbsInTarget"),
  triggerCutover: config.getBoolean("triggerCutover"),
  verification: config.get("verification") as PgMigrationArgs["verification"],
  tableJobs: config.getNumber("tableJobs"),
  indexJobs: config.getNumber("indexJobs"),
  maintenanceDatabase: config.get("maintenanceDatabase"),
});

export const status = migration.currentStatus;
