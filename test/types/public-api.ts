import type * as pulumi from "@pulumi/pulumi";
import { PgFleetMigration, PgMigration, type MigrationStatus, type PgMigrationArgs } from "pulumi-pg-migration";

/** Compiled, but never run: programs that the compiler must accept, and errors that it must report. */
export function program(host: pulumi.Output<string>, password: Promise<string>): unknown[] {
  const source = { host: "old", user: "reader", password };
  const target = { host, user: "admin", password };
  const args: PgMigrationArgs = { source, target, dbsToMigrate: ["crm"] };
  const migration = new PgMigration("m", { ...args, triggerCutover: "True", timeouts: { create: "2h" } });
  const status: pulumi.Output<MigrationStatus> = migration.currentStatus;
  const connection: pulumi.Output<string> = migration.targetConnection.host;
  new PgMigration("arm", { sourceDbServerResourceId: "a:1@b", sourceType: "AWS_RDS", waitFor: "started" });
  PgMigration.fromArm("m", { properties: {} }, { dependsOn: migration });
  new PgFleetMigration("f", { migrations: [{ name: "a", dbsToMigrate: ["a"] }], defaults: { source, target } });

  // @ts-expect-error unknown mode
  new PgMigration("m", { ...args, migrationMode: "online" });
  // @ts-expect-error misspelt input
  new PgMigration("m", { ...args, overwriteDbsInTaget: true });
  // @ts-expect-error number instead of boolean
  new PgMigration("m", { ...args, cancel: 1 });
  // @ts-expect-error unknown source type
  new PgMigration("m", { ...args, sourceType: "AWSRDS" });
  // @ts-expect-error outputs are read-only
  migration.currentStatus = status;
  // @ts-expect-error a fleet's member needs a name
  new PgFleetMigration("f", { migrations: [{ dbsToMigrate: ["a"] }] });
  return [status, connection];
}
