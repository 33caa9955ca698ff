/* eslint-disable @typescript-eslint/no-require-imports, no-undef -- CommonJS is what this program is for */
const pulumi = require("@pulumi/pulumi");
const { PgMigration } = require("pulumi-pg-migration");

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

exports.status = migration.currentStatus;
