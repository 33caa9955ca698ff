import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as resources from "@pulumi/azure-native/resources";
import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type ServerArgs } from "pulumi-pg-migration";

/** One program for the server and its migration: `pulumi up` creates the server, then migrates databases to it. */
const config = new pulumi.Config();
const administratorLogin = "pgadmin";
const administratorLoginPassword = config.requireSecret("targetPassword");

const group = new resources.ResourceGroup("migrated", {
  resourceGroupName: "rg-migrated",
  location: config.get("location") ?? "westeurope",
});

const server = new dbforpostgresql.Server(
  "migrated",
  {
    resourceGroupName: group.name,
    location: group.location,
    serverName: config.require("serverName"),
    version: "17",
    administratorLogin,
    administratorLoginPassword,
    sku: { name: "Standard_D4ds_v5", tier: "GeneralPurpose" },
    storage: { storageSizeGB: 128 },
    network: { publicNetworkAccess: "Enabled" },
  },
  { customTimeouts: { create: "60m" } },
);

// The address of the machine that runs pulumi up, and with it the migration's worker.
const runner = config.require("runnerAddress");
const firewallRule = new dbforpostgresql.FirewallRule("runner", {
  resourceGroupName: group.name,
  serverName: server.name,
  firewallRuleName: "runner",
  startIpAddress: runner,
  endIpAddress: runner,
});

// Azure allows one change of a server at a time, so each of these depends on the one before.
const extensions = new dbforpostgresql.Configuration(
  "extensions",
  {
    resourceGroupName: group.name,
    serverName: server.name,
    configurationName: "azure.extensions",
    value: config.get("extensions") ?? "TABLEFUNC,UUID-OSSP",
    source: "user-override",
  },
  { dependsOn: firewallRule },
);

const migration = new PgMigration(
  "intoazure",
  {
    source: {
      host: config.require("sourceHost"),
      port: config.getNumber("sourcePort") ?? 5432,
      user: config.require("sourceUser"),
      password: config.requireSecret("sourcePassword"),
    },
    target: {
      // The server's own name, unless this machine reaches it under another address.
      host: config.get("targetAddress") ?? server.fullyQualifiedDomainName,
      user: administratorLogin,
      password: administratorLoginPassword,
      sslMode: (config.get("targetSslMode") as ServerArgs["sslMode"]) ?? "Require",
    },
    dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
  },
  { dependsOn: extensions },
);

export const status = migration.currentStatus;
export const connection = migration.targetConnection;
