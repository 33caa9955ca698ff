import * as pulumi from "@pulumi/pulumi";
import { PgFleetMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

// A failed member does not stop the others. pulumi up then ends with an error that names it, and the next one tries it again.
const fleet = new PgFleetMigration("fleet", {
  // One migration per database, so that each can fail, be cut over and be destroyed independently.
  migrations: config.requireObject<string[]>("dbsToMigrate").map((database) => ({
    name: `move-${database.replace(/[^A-Za-z0-9]/g, "-")}`,
    dbsToMigrate: [database],
  })),
  defaults: {
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
  },
  concurrency: config.getNumber("concurrency") ?? 2,
});

export const summary = fleet.summary;
