import { migrationResource } from "../../display/migration-resource.js";
import { completeSpec } from "../../inputs/inputs.js";
import type { MigrationStatus } from "../../status.js";
import type { MigrationSummary } from "../../store/list-migrations.js";

/** Flags that az requires. They have no effect here, and are shown in the answer. */
export interface AzureFlags {
  readonly subscription?: string;
  readonly resourceGroup?: string;
  readonly location?: string;
}

/**
 * A migration with every key of `az postgres flexible-server migration show`. The value is null where only Azure has one.
 *
 * @example azureResource(migration, await readStatus(store, migration.name), { location: "westeurope" })
 */
export function azureResource(
  migration: MigrationSummary,
  status: MigrationStatus | undefined,
  flags: AzureFlags,
): Record<string, unknown> {
  const spec = completeSpec(migration.spec);
  const resource = migrationResource(migration, status);
  const { migrationId, sourceDbServerMetadata, targetDbServerMetadata, ...currentStatus } = resource.currentStatus;
  const { host, port, user } = spec.target;
  return {
    ...resource,
    id: armId(flags, host, migration.name) ?? resource.id,
    type: migrationType,
    location: flags.location ?? null,
    resourceGroup: flags.resourceGroup ?? null,
    systemData: null,
    migrationId: migrationId ?? resource.id,
    migrationInstanceResourceId: null,
    secretParameters: null,
    sslMode: spec.source.sslMode,
    targetDbServerResourceId: `${host}:${port}@${user}`,
    overwriteDbsInTarget: switchText(spec.overwriteDbsInTarget),
    migrateRoles: switchText(spec.migrateRoles),
    setupLogicalReplicationOnSourceDbIfNeeded: switchText(spec.setupLogicalReplicationOnSourceDbIfNeeded),
    startDataMigration: switchText(spec.startDataMigration),
    migrationWindowStartTimeInUtc: spec.migrationWindowStartTimeInUtc ?? null,
    migrationWindowEndTimeInUtc: spec.migrationWindowEndTimeInUtc ?? null,
    triggerCutover: switchText(spec.triggerCutover),
    dbsToTriggerCutoverOn: spec.dbsToTriggerCutoverOn,
    cancel: switchText(spec.cancel),
    dbsToCancelMigrationOn: spec.dbsToCancelMigrationOn,
    sourceDbServerMetadata: sourceDbServerMetadata ?? null,
    targetDbServerMetadata: targetDbServerMetadata ?? null,
    currentStatus,
  };
}

/** Azure's type of the resource. */
export const migrationType = "Microsoft.DBforPostgreSQL/flexibleServers/migrations";

const switchText = (value: boolean): "True" | "False" => (value ? "True" : "False");

/** The id in Azure, if the flags name the subscription and the resource group. */
function armId({ subscription, resourceGroup }: AzureFlags, host: string, name: string): string | undefined {
  if (subscription === undefined || resourceGroup === undefined) return undefined;
  const group = `/subscriptions/${subscription}/resourceGroups/${resourceGroup}`;
  const [server] = host.split(".");
  return `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${server}/migrations/${name}`;
}
