import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();
const server = (side) => ({
  host: config.require(`${side}Host`),
  port: config.requireNumber(`${side}Port`),
  user: config.require(`${side}User`),
  password: config.requireSecret(`${side}Password`),
});
const migration = new PgMigration("program", {
  source: server("source"),
  target: server("target"),
  dbsToMigrate: config.requireObject("dbsToMigrate"),
});

export const status = migration.currentStatus;
