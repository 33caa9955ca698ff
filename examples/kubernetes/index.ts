import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";
import { KubernetesRunner } from "pulumi-pg-migration/runners/kubernetes";

/** Four workers in a cluster share the copy of an online migration. One of them then follows the changes. */
const config = new pulumi.Config();
const migrationName = "incluster";

const source = { host: config.require("sourceHost"), user: config.require("sourceUser") };
const target = { host: config.require("targetHost"), user: config.require("targetUser"), sslMode: "Require" as const };

const runner = new KubernetesRunner(migrationName, {
  namespace: "migrations",
  image: config.require("image"),
  migrationMode: "Online",
  // The Job's helpers end after the copy, and free their resources.
  workload: "Job",
  replicas: 4,
  cpu: 2,
  memoryGb: 4,
  job: { migrationName, source, target },
  // A Secret that exists in the namespace.
  passwordSecrets: {
    source: { name: "crm-servers", key: "source-password" },
    target: { name: "crm-servers", key: "target-password" },
  },
});

const migration = new PgMigration(
  migrationName,
  {
    source: { ...source, password: config.requireSecret("sourcePassword") },
    target: { ...target, password: config.requireSecret("targetPassword") },
    dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
    migrationMode: "Online",
    runner: "external",
  },
  { dependsOn: runner },
);

export const status = migration.currentStatus;
