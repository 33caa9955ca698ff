import { isDeepStrictEqual } from "node:util";
import { RefusedError, UnreachableError } from "../../errors.js";
import { checkInputs, knownInputs } from "../../inputs/check-inputs.js";
import { hasOpenPatterns } from "../../inputs/database-patterns.js";
import { inputsOf, type DeclaredInputs } from "../../inputs/inputs.js";
import { containsUnknown } from "../../inputs/unknown-value.js";
import { resolveServer, resolveServers } from "../../inputs/resolve-servers.js";
import { hasEnded } from "../../status.js";
import { readMigration } from "../../store/records.js";
import { withExistingStore } from "../../store/store.js";
import type { Report } from "../../supervisor/supervise-worker.js";
import { differingIdentity } from "../ownership/identity.js";
import { inputsAmong, type Properties } from "../state.js";
import { matchingDatabases } from "./matching-databases.js";

/**
 * Replaces patterns in `dbsToMigrate` by the databases that they select, and keeps the patterns beside them. The same
 * patterns on the same source keep the databases that Pulumi's state or the records have: a database created later is
 * not added.
 *
 * @param olds the inputs or outputs before
 * @returns the same inputs if they have no patterns, or if wrong or unknown values prevent reading the source
 * @throws InvalidInputError naming patterns that match nothing
 * @throws RefusedError, UnreachableError when the source cannot be read
 */
export async function resolveDatabases(olds: Properties, news: Properties, note: Report): Promise<Properties> {
  const kept = keepDatabases(olds, news);
  const own = inputsAmong(kept);
  if (!hasOpenPatterns(own) || containsUnknown(own.dbsToMigrate) || checkInputs(own).failures.length > 0) return kept;
  const known = knownInputs(own);
  const { server: source } = resolveServer(known, "source");
  if (!source) {
    note("dbsToMigrate has patterns: this preview does not know the source yet, so it cannot show their databases");
    return kept;
  }
  const { dbsToMigrate: patterns } = known;
  const databases = (await recordedDatabases(known)) ?? (await matchingDatabases(source, patterns, note));
  return { ...kept, dbsToMigrate: databases, dbsToMigratePatterns: patterns };
}

/** The part of {@link resolveDatabases} that needs no server. */
export function keepDatabases(olds: Properties, news: Properties): Properties {
  const { dbsToMigrate, dbsToMigratePatterns } = olds;
  const isKept =
    hasOpenPatterns(news) &&
    isDeepStrictEqual(dbsToMigratePatterns, news.dbsToMigrate) &&
    isDeepStrictEqual(sourceAddress(olds), sourceAddress(news));
  return isKept ? { ...news, dbsToMigrate, dbsToMigratePatterns } : news;
}

function sourceAddress(properties: Properties): unknown {
  const { server } = resolveServer(knownInputs(inputsAmong(properties)), "source");
  return server && [server.host, server.port];
}

/** What the record of this migration has for the same patterns: the state may be lost, or the resource replaced. */
async function recordedDatabases(known: DeclaredInputs): Promise<readonly string[] | undefined> {
  const { servers } = resolveServers(known);
  if (!servers) return undefined;
  const inputs = inputsOf(known, servers);
  try {
    const record = await withExistingStore(
      inputs,
      `${inputs.migrationName} databases`,
      async (store) => store && (await readMigration(store, inputs.migrationName)),
    );
    if (!record || differingIdentity(record.spec, inputs).length > 0) return undefined;
    if (inputs.onExistingRecord === "restart" && hasEnded(record.state)) return undefined;
    const { dbsToMigratePatterns, dbsToMigrate } = record.spec;
    return isDeepStrictEqual(dbsToMigratePatterns, inputs.dbsToMigrate) ? dbsToMigrate : undefined;
  } catch (error) {
    // The operation itself reports why the target cannot be used.
    if (error instanceof RefusedError || error instanceof UnreachableError) return undefined;
    throw error;
  }
}
