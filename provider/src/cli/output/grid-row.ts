import type { MigrationSummary } from "../../store/list-migrations.js";

/** A row of the table that Azure's portal shows, see `gridColumns`. */
export function migrationRow(migration: MigrationSummary, now = new Date()): string[] {
  const { spec } = migration;
  return [
    migration.name,
    migration.workerState === "lost" ? `${migration.state} (no worker)` : migration.state,
    spec.migrationMode,
    spec.migrationOption,
    `${spec.source.host}:${spec.source.port}`,
    spec.sourceType ?? "OnPremises",
    spec.dbsToMigrate.join(", "),
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
