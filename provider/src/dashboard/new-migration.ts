import { InvalidInputError, RefusedError } from "../errors.js";
import { checkInputs, knownInputs, parseInputs } from "../inputs/check-inputs.js";
import { resolveServer } from "../inputs/resolve-servers.js";
import { serviceDatabases } from "../inputs/service-databases.js";
import { resolveDatabases } from "../resource/databases/resolve-databases.js";
import { databasesOf } from "../resource/databases/matching-databases.js";
import { MigrationIncompleteError } from "../resource/reach-goal.js";
import { create } from "../resource/create.js";
import { type MigrationSummary, summarizeMigration } from "../resource/summary/migration-summary.js";
import { readMigrationState } from "../store/records.js";
import type { StoreAddress } from "../store/installation/records-database.js";
import { withExistingStore } from "../store/store.js";
import { readDatabaseContent } from "../validation/database-content.js";
import type { ListedDatabase, StartedMigration } from "./messages.js";

/** The JSON of a request: inputs of a `PgMigration` without the target. */
export type RequestBody = Readonly<Record<string, unknown>>;

/** Inputs that a page may set. Others name files of this machine, send requests from it, or use its identity. */
const acceptedInputs: readonly string[] = [
  ...["migrationName", "migrationMode", "migrationOption", "source", "sourceType", "dbsToMigrate", "databaseNames"],
  ...["overwriteDbsInTarget", "setupLogicalReplicationOnSourceDbIfNeeded", "startDataMigration", "migrateRoles"],
  ...["include", "exclude", "schemaOnly", "dataOnly", "keylessTables", "verification", "verifyBeforeCutover"],
  ...["fence", "offlineWrites", "rollback", "maxRetainedWal", "onMaxRetainedWal", "tableJobs", "indexJobs"],
  ...["maxCopyRate", "maxReplicaLag", "applySessions", "schemaChanges", "tags"],
];

const acceptedOfSource: readonly string[] = ["host", "port", "user", "password", "sslMode", "sslRootCert"];

/**
 * The databases of the source that a migration can copy.
 *
 * @throws InvalidInputError naming the wrong properties of the source
 * @throws RefusedError, UnreachableError when the source cannot be read
 */
export async function listSourceDatabases(address: StoreAddress, body: RequestBody): Promise<ListedDatabase[]> {
  const given = inputsFor(address, { migrationName: "list", ...body });
  const ofSource = checkInputs(given).failures.filter(({ property }) => property.startsWith("source"));
  const known = knownInputs(given);
  const { server: source, failures } = resolveServer(known, "source");
  if (!source || ofSource.length > 0) throw new InvalidInputError(ofSource.length > 0 ? ofSource : failures);
  const listed: ListedDatabase[] = [];
  for (const { name, bytes, isClosed } of await databasesOf(source)) {
    if (isClosed || serviceDatabases.includes(name)) continue;
    const { tables, unreadable, blockers } = await readDatabaseContent(source, name, known.migrationMode);
    listed.push({ name, bytes, tables, unreadable, blockers: blockers.map(({ message }) => message) });
  }
  return listed;
}

/** @throws InvalidInputError naming every wrong property; otherwise as {@link summarizeMigration} */
export async function summarizeNewMigration(address: StoreAddress, body: RequestBody): Promise<MigrationSummary> {
  return summarizeMigration(parseInputs(await resolveDatabases({}, inputsFor(address, body), () => undefined)));
}

/**
 * Records a migration and starts its worker on this machine. A failed migration of the same name is resumed.
 *
 * @throws InvalidInputError, RefusedError, UnreachableError when nothing was recorded
 */
export async function startNewMigration(address: StoreAddress, body: RequestBody): Promise<StartedMigration> {
  const inputs = inputsFor(address, body);
  const name = inputs.migrationName as string;
  await refuseRecorded(address, name);
  try {
    await create({ ...inputs }, () => undefined);
  } catch (error) {
    if (!(error instanceof MigrationIncompleteError)) throw error;
    // A worker records its failures itself. Only without a worker is there another cause.
    if (error.cause !== undefined) return { name, workerFailure: error.message };
  }
  return { name, workerFailure: null };
}

/** `create` would continue a migration that has not ended, although the user asked for a new one. */
async function refuseRecorded(address: StoreAddress, name: string): Promise<void> {
  const recorded = await withExistingStore(
    address,
    `${name} look up`,
    (store) => store && readMigrationState(store, name),
  );
  if (!recorded || recorded.state === "Failed") return;
  throw new RefusedError(`a migration named ${name} is already recorded: ${recorded.state}`, {
    remedy: "choose another name, or delete that migration first",
  });
}

/** @throws InvalidInputError naming the inputs that a page may not set */
function inputsFor({ target, maintenanceDatabase }: StoreAddress, body: RequestBody): RequestBody {
  const source = typeof body.source === "object" && body.source !== null ? body.source : {};
  const refused = [
    ...Object.keys(body).filter((name) => !acceptedInputs.includes(name)),
    ...Object.keys(source)
      .filter((name) => !acceptedOfSource.includes(name))
      .map((name) => `source.${name}`),
  ];
  const failures = refused.map((property) => ({ property, reason: "the dashboard does not accept this input" }));
  if ("sslRootCert" in source && !String(source.sslRootCert).startsWith("-----BEGIN "))
    failures.push({ property: "source.sslRootCert", reason: "give the certificates as PEM text" });
  if (failures.length > 0) throw new InvalidInputError(failures);
  return { ...body, target, maintenanceDatabase, runner: "local", waitFor: "started" };
}
