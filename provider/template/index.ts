import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type SslMode } from "pulumi-pg-migration";

const config = new pulumi.Config();

const migration = new PgMigration(config.get("migrationName") ?? "migration", {
  source: {
    host: config.require("sourceHost"),
    port: config.getNumber("sourcePort") ?? 5432,
    user: config.require("sourceUser"),
    password: config.requireSecret("sourcePassword"),
    sslMode: config.get<SslMode>("sourceSslMode") ?? "Prefer",
    sslRootCert: config.get("sourceSslRootCert"),
  },
  target: {
    host: config.require("targetHost"),
    port: config.getNumber("targetPort") ?? 5432,
    user: config.require("targetUser"),
    password: config.requireSecret("targetPassword"),
    sslMode: config.get<SslMode>("targetSslMode") ?? "Prefer",
    sslRootCert: config.get("targetSslRootCert"),
  },
  dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
  migrationMode: config.get<"Offline" | "Online">("migrationMode") ?? "Offline",
  overwriteDbsInTarget: config.getBoolean("overwriteDbsInTarget") ?? false,
  // To cut over an online migration: pulumi config set triggerCutover true && pulumi up
  triggerCutover: config.getBoolean("triggerCutover") ?? false,
});

export const status = migration.currentStatus;
export const connection = migration.targetConnection;
