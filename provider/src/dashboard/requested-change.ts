import { InvalidInputError } from "../errors.js";
import { isPattern } from "../inputs/database-patterns.js";
import type { MigrationChange } from "../resource/changes/migration-change.js";

interface RequestedChange {
  /** The query parameter that the change takes. */
  readonly parameter?: string;
  readonly change: (values: string[]) => MigrationChange;
}

/** By the part of the path after `/api/migrations/<name>/`. A map: names from requests must not reach prototypes. */
const changes: ReadonlyMap<string, RequestedChange> = new Map<string, RequestedChange>([
  ["cutover", { parameter: "database", change: (names) => ({ triggerCutover: true, dbsToTriggerCutoverOn: names }) }],
  ["cancel", { parameter: "database", change: (names) => ({ cancel: true, dbsToCancelMigrationOn: names }) }],
  ["verify", { change: () => ({ verifyNow: `dashboard ${new Date().toISOString()}` }) }],
  ["rollback-keep", { change: () => ({ rollback: "keep" }) }],
  ["rollback-return", { change: () => ({ rollback: "return" }) }],
  ["rollback-drop", { change: () => ({ rollback: "drop" }) }],
  ["databases", { parameter: "database", change: databasesToMigrate }],
  ["setup-replication", { change: () => ({ setupLogicalReplicationOnSourceDbIfNeeded: true }) }],
  ["overwrite", { change: () => ({ overwriteDbsInTarget: true }) }],
  ["start", { change: () => ({ startDataMigration: true }) }],
  ["window", { parameter: "start", change: ([start = ""]) => ({ migrationWindowStartTimeInUtc: start }) }],
]);

export const isChange = (action: string): boolean => changes.has(action);

/**
 * The change that a POST request asks for.
 *
 * @throws InvalidInputError naming unknown parameters: without them, a cutover or cancellation would concern all databases
 */
export function requestedChange(action: string, query: URLSearchParams): MigrationChange | undefined {
  const requested = changes.get(action);
  if (!requested) return undefined;
  const { parameter, change } = requested;
  const unknown = [...query.keys()].filter((property) => property !== parameter);
  const reason =
    parameter === undefined ? "this action takes no parameters" : `unknown parameter: expected ${parameter}`;
  if (unknown.length > 0) throw new InvalidInputError(unknown.map((property) => ({ property, reason })));
  return change(parameter === undefined ? [] : query.getAll(parameter));
}

function databasesToMigrate(names: string[]): MigrationChange {
  if (names.length === 0) throw new InvalidInputError([{ property: "database", reason: "missing: name a database" }]);
  const patterns = names.filter(isPattern);
  if (patterns.length === 0) return { dbsToMigrate: names, dbsToMigratePatterns: [] };
  const reason = `${patterns.join(", ")}: expected names, because the dashboard does not read the source`;
  throw new InvalidInputError([{ property: "database", reason }]);
}
