import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import type { MigrationConfig } from "../config/lab-schema";
import type { LabContext } from "../lab-context";
import { readExisting } from "../resource-manager";
import { deletedWithServer } from "../server/flexible-server";
import { type AzureMigrationStatus, migrationAnswer, waitForMigration } from "./azure-migration-status";
import { azureKeys, sourcePassword } from "./migration-inputs";
import type { MigrationTarget } from "./migration-target";

const apiVersion = "2025-08-01";

/**
 * Declares the migration for Microsoft's service and returns its `currentStatus`, once the migration succeeded or waits
 * for the user. A preview returns the present status.
 *
 * @throws AzureMigrationFailedError in the output
 */
export function declareAzureMigration(
  context: LabContext,
  migration: MigrationConfig,
  target: MigrationTarget,
  options: pulumi.CustomResourceOptions,
): pulumi.Output<AzureMigrationStatus> {
  const declared = new dbforpostgresql.Migration(migration.name, inputsOf(context, migration, target), {
    ...options,
    ...deletedWithServer(target.server, context.config),
    additionalSecretOutputs: ["secretParameters"],
  });
  const readStatus = async (id: string) =>
    migrationAnswer.parse(await readExisting(context.config, id, apiVersion)).properties.currentStatus;
  return declared.id.apply((id) =>
    pulumi.runtime.isDryRun()
      ? readStatus(id)
      : waitForMigration(migration, () => readStatus(id), {
          log: (message) => void pulumi.log.info(message, declared),
        }),
  );
}

/** The properties of the resource `flexibleServers/migrations`. Azure spells its switches as the texts True and False. */
function inputsOf(
  { config, naming, group }: LabContext,
  migration: MigrationConfig,
  { server, administratorPassword }: MigrationTarget,
): dbforpostgresql.MigrationArgs {
  const { host, port, user, sslMode, type } = migration.source;
  return {
    ...azureKeys(migration),
    resourceGroupName: group.name,
    serverName: server.name,
    location: group.location,
    migrationName: migration.name,
    sourceType: type,
    sourceDbServerResourceId: `${host}:${port}@${user}`,
    sslMode,
    ...(migration.runtimeServer !== undefined && { migrationInstanceResourceId: migration.runtimeServer }),
    secretParameters: {
      adminCredentials: { sourceServerPassword: sourcePassword(), targetServerPassword: administratorPassword },
      sourceServerUsername: user,
      targetServerUsername: config.server.administratorLogin,
    },
    tags: naming.tags,
  };
}
