import type { Wish } from "../inputs.js";
import type { MigrationStatus } from "../status.js";
import type { MigrationSummary } from "../store/list-migrations.js";

/** A migration as Azure's command prints one, with its status when it was read. */
export interface MigrationResource {
  readonly id: string;
  readonly name: string;
  readonly migrationMode: Wish["migrationMode"];
  readonly migrationOption: Wish["migrationOption"];
  readonly sourceDbServerResourceId: string;
  readonly sourceDbServerFullyQualifiedDomainName: string;
  readonly targetDbServerFullyQualifiedDomainName: string;
  readonly dbsToMigrate: readonly string[];
  readonly overwriteDbsInTarget: boolean;
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
    sourceDbServerResourceId: `${source.host}:${source.port}@${source.user}`,
    sourceDbServerFullyQualifiedDomainName: source.host,
    targetDbServerFullyQualifiedDomainName: target.host,
    dbsToMigrate: wish.dbsToMigrate,
    overwriteDbsInTarget: wish.overwriteDbsInTarget,
    startedOn: migration.startedOn.toISOString(),
    endedOn: migration.endedOn?.toISOString(),
    currentStatus: status ?? {
      state: migration.state,
      ...(migration.error === undefined ? {} : { error: migration.error }),
    },
  };
}

/** The columns of the portal's grid. */
export const gridHead = [
  "Name",
  "Status",
  "Migration mode",
  "Migration type",
  "Source server",
  "Databases",
  "Duration",
  "Start time",
];

export function gridRow(migration: MigrationSummary, now = new Date()): string[] {
  const { wish } = migration;
  return [
    migration.name,
    migration.state,
    wish.migrationMode,
    wish.migrationOption,
    `${wish.source.host}:${wish.source.port}`,
    wish.dbsToMigrate.join(", "),
    formatDuration(((migration.endedOn ?? now).getTime() - migration.startedOn.getTime()) / 1000),
    `${migration.startedOn.toISOString().slice(0, 19)}Z`,
  ];
}

/** `1 d 02:03:04`, or without the days. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const clock = [Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
  const days = Math.floor(whole / 86400);
  return days > 0 ? `${days} d ${clock}` : clock;
}
