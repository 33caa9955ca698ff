import type { MigrationSpec } from "../inputs/inputs.js";
import type { MigrationStatus } from "../status.js";
import type { MigrationSummary } from "../store/list-migrations.js";

/** A migration in the format of Azure's command, with its current status. */
export interface MigrationResource {
  readonly id: string;
  readonly name: string;
  readonly migrationMode: MigrationSpec["migrationMode"];
  readonly migrationOption: MigrationSpec["migrationOption"];
  readonly sourceType: string;
  readonly sourceDbServerResourceId: string;
  readonly sourceDbServerFullyQualifiedDomainName: string;
  readonly targetDbServerFullyQualifiedDomainName: string;
  readonly dbsToMigrate: readonly string[];
  readonly overwriteDbsInTarget: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly startedOn: string;
  readonly endedOn: string | undefined;
  readonly currentStatus: Partial<MigrationStatus>;
}

export function migrationResource(migration: MigrationSummary, status?: MigrationStatus): MigrationResource {
  const { spec } = migration;
  const { source, target } = spec;
  return {
    id: `${target.host}:${target.port}/${migration.name}`,
    name: migration.name,
    migrationMode: spec.migrationMode,
    migrationOption: spec.migrationOption,
    sourceType: spec.sourceType ?? "OnPremises",
    sourceDbServerResourceId: `${source.host}:${source.port}@${source.user}`,
    sourceDbServerFullyQualifiedDomainName: source.host,
    targetDbServerFullyQualifiedDomainName: target.host,
    dbsToMigrate: spec.dbsToMigrate,
    overwriteDbsInTarget: spec.overwriteDbsInTarget,
    tags: spec.tags,
    startedOn: migration.startedOn.toISOString(),
    endedOn: migration.endedOn?.toISOString(),
    currentStatus: status ?? {
      state: migration.state,
      worker: { state: migration.workerState },
      ...(migration.error === undefined ? {} : { error: migration.error }),
    },
  };
}
