import type { Wish } from "../inputs/inputs.js";
import type { MigrationStatus } from "../status.js";
import type { MigrationSummary } from "../store/list-migrations.js";

/** A migration as Azure's command prints one, with its status when it was read. */
export interface MigrationResource {
  readonly id: string;
  readonly name: string;
  readonly migrationMode: Wish["migrationMode"];
  readonly migrationOption: Wish["migrationOption"];
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
  const { wish } = migration;
  const { source, target } = wish;
  return {
    id: `${target.host}:${target.port}/${migration.name}`,
    name: migration.name,
    migrationMode: wish.migrationMode,
    migrationOption: wish.migrationOption,
    sourceType: wish.sourceType ?? "OnPremises",
    sourceDbServerResourceId: `${source.host}:${source.port}@${source.user}`,
    sourceDbServerFullyQualifiedDomainName: source.host,
    targetDbServerFullyQualifiedDomainName: target.host,
    dbsToMigrate: wish.dbsToMigrate,
    overwriteDbsInTarget: wish.overwriteDbsInTarget,
    tags: wish.tags,
    startedOn: migration.startedOn.toISOString(),
    endedOn: migration.endedOn?.toISOString(),
    currentStatus: status ?? {
      state: migration.state,
      ...(migration.error === undefined ? {} : { error: migration.error }),
    },
  };
}
