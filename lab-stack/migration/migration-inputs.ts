import * as pulumi from "@pulumi/pulumi";
import type { MigrationConfig } from "../config/lab-schema";

/** The keys of Azure's resource that both engines accept in the same form. */
export function azureKeys(migration: MigrationConfig) {
  const isOnline = migration.mode === "Online";
  return {
    dbsToMigrate: migration.databases,
    migrationMode: migration.mode,
    migrationOption: migration.option,
    overwriteDbsInTarget: switchText(migration.overwrite),
    migrateRoles: switchText(migration.migrateRoles),
    setupLogicalReplicationOnSourceDbIfNeeded: switchText(migration.setupLogicalReplicationOnSourceDbIfNeeded),
    startDataMigration: switchText(migration.startDataMigration),
    ...(isOnline && { triggerCutover: switchText(migration.triggerCutover) }),
    ...(migration.cancel && { cancel: switchText(true) }),
    ...given(migration, [
      "sourceDbServerFullyQualifiedDomainName",
      "targetDbServerFullyQualifiedDomainName",
      "migrationWindowStartTimeInUtc",
      "migrationWindowEndTimeInUtc",
      "dbsToTriggerCutoverOn",
      "dbsToCancelMigrationOn",
    ]),
  };
}

/** The secret `sourcePassword` of the configuration. */
export const sourcePassword = (): pulumi.Output<string> => new pulumi.Config().requireSecret("sourcePassword");

const switchText = (value: boolean): "True" | "False" => (value ? "True" : "False");

function given<Key extends keyof MigrationConfig>(migration: MigrationConfig, keys: readonly Key[]) {
  const entries = keys.filter((key) => migration[key] !== undefined).map((key) => [key, migration[key]]);
  return Object.fromEntries(entries) as Partial<Pick<MigrationConfig, Key>>;
}
