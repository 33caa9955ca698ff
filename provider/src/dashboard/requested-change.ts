import { InvalidInputError } from "../errors.js";
import { isPattern } from "../inputs/database-patterns.js";
import type { MigrationChange } from "../resource/changes/migration-change.js";

type ChangeOf = (query: URLSearchParams) => MigrationChange;

/** The parameters of the changes that take some. */
const parametersOf: ReadonlyMap<string, string> = new Map([
  ["cutover", "database"],
  ["cancel", "database"],
  ["databases", "database"],
  ["window", "start"],
]);

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

/**
 * The change that a POST request asks for.
 *
 * @throws InvalidInputError naming unknown parameters: without them, a cutover or cancellation would concern all databases
 */
export function requestedChange(action: string, query: URLSearchParams): MigrationChange | undefined {
  const changeOf = changes.get(action);
  if (!changeOf) return undefined;
  const known = parametersOf.get(action);
  const unknown = [...query.keys()].filter((property) => property !== known);
  const reason = known === undefined ? "this action takes no parameters" : `unknown parameter: expected ${known}`;
  if (unknown.length > 0) throw new InvalidInputError(unknown.map((property) => ({ property, reason })));
  if (action === "databases") refuseUnnamed(query.getAll("database"));
  return changeOf(query);
}

function refuseUnnamed(databases: readonly string[]): void {
  if (databases.length === 0)
    throw new InvalidInputError([{ property: "database", reason: "missing: name a database" }]);
  const patterns = databases.filter(isPattern);
  if (patterns.length === 0) return;
  const reason = `${patterns.join(", ")}: expected names, because the dashboard does not read the source`;
  throw new InvalidInputError([{ property: "database", reason }]);
}
