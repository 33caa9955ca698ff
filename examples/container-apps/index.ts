import * as resources from "@pulumi/azure-native/resources";
import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type WorkerServer } from "pulumi-pg-migration";
import { ContainerAppsRunner } from "pulumi-pg-migration/runners/container-apps";

/** Four workers in a virtual network share an offline copy. The source's password is in Key Vault. */
const config = new pulumi.Config();
const migrationName = "inapps";

const group = new resources.ResourceGroup("workers", {
  resourceGroupName: "rg-migration-workers",
  location: config.get("location") ?? "westeurope",
});

const source = {
  host: config.require("sourceHost"),
  port: config.getNumber("sourcePort") ?? 5432,
  user: config.require("sourceUser"),
};
const target = {
  host: config.require("targetHost"),
  port: config.getNumber("targetPort") ?? 5432,
  user: config.require("targetUser"),
  password: config.requireSecret("targetPassword"),
  sslMode: config.get<NonNullable<WorkerServer["sslMode"]>>("targetSslMode") ?? "Require",
};

const runner = new ContainerAppsRunner(migrationName, {
  resourceGroupName: group.name,
  location: group.location,
  // Delegated to Microsoft.App/environments, in a network that reaches both servers.
  environment: { subnetId: config.require("subnetId") },
  image: config.require("image"),
  // May read the secret: it has the role Key Vault Secrets User.
  identity: config.require("identity"),
  keyVaultPasswords: { source: config.require("sourcePasswordUrl") },
  migrationMode: "Offline",
  replicas: 4,
  job: target.password.apply((password) => ({ migrationName, source, target: { ...target, password } })),
  resourceManager: config.get("resourceManager"),
});

const migration = new PgMigration(
  migrationName,
  {
    source: { ...source, password: config.requireSecret("sourcePassword") },
    target,
    dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
    runner: "external",
  },
  { dependsOn: runner },
);

export const status = migration.currentStatus;
