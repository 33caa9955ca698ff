import { Refused, messageOf } from "../errors.js";
import { isConnectionLoss, isStarting } from "../postgres/connection/connection-loss.js";
import type { Finding } from "../store/journal.js";
import { occupiedDatabases, readDatabases, type DatabaseRecord } from "../store/records.js";
import { validate } from "../validation/validate.js";
import { Confirmations } from "./run/user-gates.js";
import { rideOut } from "./ride-out.js";
import type { RunContext } from "./context/run-context.js";
import { readServerMetadata } from "./run/server-metadata.js";

/** Waits for what is to be confirmed and validates. Whether the migration may go on. */
export async function isPrepared(context: RunContext): Promise<boolean> {
  const { source, target, journal, requests, signal } = context;
  const databases = await context.currentDatabases();
  const confirmations = new Confirmations({
    ...{ source, target, journal, requests, signal },
    ownDatabases: ownDatabases(databases),
  });
  await confirmations.databasesSpecified();
  await describeServers(context);
  if (databases.some(({ phase }) => phase !== "queued")) return true;
  await confirmations.sourceCanBeFollowed();
  await confirmations.overwriteAllowed();
  if (context.wish.migrationOption !== "Migrate" && !(await isValid(context, confirmations.findings))) return false;
  if (context.wish.migrationOption !== "Validate") await confirmations.mayStart();
  return true;
}

/** Names on the target that do not count as existing: an earlier try has made these databases. */
const ownDatabases = (databases: readonly DatabaseRecord[]): Set<string> =>
  new Set(databases.filter((one) => one.createdByUs || one.beingCreated).map((one) => one.targetName));

/**
 * What the servers are is only shown: one that does not let us in, or is not there, is the validation's business. One that
 * says that it is being restarted is waited for.
 */
async function describeServers(context: RunContext): Promise<void> {
  const { source, target, journal } = context;
  const { migrationName, maintenanceDatabase, dbsToMigrate } = context.wish;
  const patience = context.patience(isStarting);
  try {
    const onSource = await rideOut(patience, () => readServerMetadata(source, dbsToMigrate[0]!, migrationName));
    const onTarget = await rideOut(patience, () => readServerMetadata(target, maintenanceDatabase, migrationName));
    await journal.servers(onSource, onTarget);
  } catch (error) {
    if (!(error instanceof Refused || isConnectionLoss(error))) throw error;
    await journal.event(`a server cannot be described: ${messageOf(error)}`, { level: "warning" });
  }
}

/** @param found before, to be told beside what the validation finds */
async function isValid(context: RunContext, found: readonly Finding[]): Promise<boolean> {
  const { journal } = context;
  await journal.state("InProgress", "ValidationInProgress");
  await journal.validationStarted();
  const findings = [...found, ...(await rideOut(context.patience(), () => validateAll(context)))];
  await journal.validationEnded(findings);
  const failed = findings.filter((finding) => finding.state === "Failed");
  if (failed.length === 0) return true;
  const [s, have] = failed.length > 1 ? ["s", "have"] : ["", "has"];
  const text = `${failed.length} finding${s} of the validation ${have} to be put right first`;
  await journal.state("ValidationFailed", "Completed", text);
  return false;
}

function validateAll(context: RunContext): Promise<Finding[]> {
  const { source, target } = context;
  return context.withStore(async (store) => {
    const { wish } = context;
    return validate({
      ...{ wish, source, target },
      ownDatabases: ownDatabases(await readDatabases(store, wish.migrationName)),
      occupied: await occupiedDatabases(store, wish.migrationName),
    });
  });
}
