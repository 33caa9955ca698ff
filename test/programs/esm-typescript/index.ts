import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type ServerArgs } from "pulumi-pg-migration";

const config = new pulumi.Config();
const server = (side: "source" | "target"): ServerArgs => ({
  host: config.require(`${side}Host`),
  port: config.requireNumber(`${side}Port`),
  user: config.require(`${side}User`),
  password: config.requireSecret(`${side}Password`),
});
const migration = new PgMigration("program", {
  source: server("source"),
  target: server("target"),
  dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
});

export const status = migration.currentStatus;
