import { isDeepStrictEqual } from "node:util";
import { withTimeout } from "../../async/with-timeout.js";
import type { Inputs } from "../../inputs/inputs.js";
import { enumerate } from "../../units/enumerate.js";
import type { Report } from "../../supervisor/supervise-worker.js";
import { observeWithinMs } from "../observe.js";
import type { Properties } from "../state.js";
import { matchingDatabases } from "./matching-databases.js";

/**
 * Notes databases that unchanged patterns would select by now, and that the migration does not have. Without an answer
 * of the source within eight seconds, there is nothing to note. Never throws.
 */
export async function noteNewDatabases(
  olds: Properties,
  { source, dbsToMigrate, dbsToMigratePatterns: patterns = [] }: Inputs,
  note: Report,
): Promise<void> {
  if (patterns.length === 0 || !isDeepStrictEqual(olds.dbsToMigratePatterns, patterns)) return;
  const ignore = (): void => undefined;
  const matched = await withTimeout(
    matchingDatabases(source, patterns, ignore).catch(() => undefined),
    observeWithinMs,
  );
  const added = (matched ?? []).filter((name) => !dbsToMigrate.includes(name));
  if (added.length === 0) return;
  note(
    `dbsToMigrate ${patterns.join(", ")} now also selects ${enumerate(added, 50)} on ${source.host}:${source.port}, ` +
      "which this migration does not include. To do: add the name to dbsToMigrate, which applies all patterns again",
  );
}
