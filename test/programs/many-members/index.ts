import * as pulumi from "@pulumi/pulumi";
import { PgFleetMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();
const server = (side: "source" | "target") => ({
  host: config.require(`${side}Host`),
  port: config.requireNumber(`${side}Port`),
  user: config.require(`${side}User`),
  password: config.requireSecret(`${side}Password`),
  sslMode: "Disable" as const,
});

const fleet = new PgFleetMigration("fleet", {
  migrations: Array.from({ length: config.requireNumber("members") }, (_, i) => ({
    name: `member-${i}`,
    dbsToMigrate: [`db${i}`],
  })),
  defaults: { source: server("source"), target: server("target"), runner: "external", onExistingRecord: "adopt" },
  concurrency: 8,
});

export const summary = fleet.summary;
