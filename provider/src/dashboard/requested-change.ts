import type { MigrationChange } from "../resource/changes/migration-change.js";

type ChangeOf = (query: URLSearchParams) => MigrationChange;

/** By the part of the path after `/api/migrations/<name>/`. A map: names from requests must not reach prototypes. */
const changes: ReadonlyMap<string, ChangeOf> = new Map<string, ChangeOf>([
  ["cutover", (query) => ({ triggerCutover: true, dbsToTriggerCutoverOn: query.getAll("database") })],
  ["cancel", (query) => ({ cancel: true, dbsToCancelMigrationOn: query.getAll("database") })],
  ["verify", () => ({ verifyNow: `dashboard ${new Date().toISOString()}` })],
  ["rollback-keep", () => ({ rollback: "keep" })],
  ["rollback-return", () => ({ rollback: "return" })],
  ["rollback-drop", () => ({ rollback: "drop" })],
  ["databases", (query) => ({ dbsToMigrate: query.getAll("database"), dbsToMigratePatterns: [] })],
  ["setup-replication", () => ({ setupLogicalReplicationOnSourceDbIfNeeded: true })],
  ["overwrite", () => ({ overwriteDbsInTarget: true })],
  ["start", () => ({ startDataMigration: true })],
  ["window", (query) => ({ migrationWindowStartTimeInUtc: query.get("start") ?? "" })],
]);

export const isChange = (action: string): boolean => changes.has(action);

/** The change that a POST request asks for. */
export const requestedChange = (action: string, query: URLSearchParams): MigrationChange | undefined =>
  changes.get(action)?.(query);
