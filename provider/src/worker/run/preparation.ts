import { RefusedError, messageOf } from "../../errors.js";
import { isConnectionLoss, isStarting } from "../../postgres/connection/connection-loss.js";
import type { Finding } from "../../findings.js";
import { occupiedDatabases, type DatabaseRecord } from "../../store/records.js";
import { validate } from "../../validation/validate.js";
import { refuseHandedOver } from "../initial-copy/retry/refuse-handed-over.js";
import { UserGates } from "./user-gates.js";
import { retry } from "../context/retry.js";
import type { RunContext } from "../context/run-context.js";
import { readServerMetadata } from "./server-metadata.js";

/** Waits for the user's confirmations, then validates. @returns whether the migration may continue */
export async function prepareRun(context: RunContext): Promise<boolean> {
  const { source, target, journal, requests, signal } = context;
  const databases = await context.currentDatabases();
  const gates = new UserGates({
    ...{ source, target, journal, requests, signal },
    ownDatabases: ownDatabases(databases),
  });
  await gates.databasesSpecified();
  const answers: Answers = { haveServersAnswered: false };
  // Nothing reads what it records, so that the validation does not wait for it.
  const steps = [describeServers(context, answers), prepare(context, gates, answers, databases)] as const;
  await Promise.allSettled(steps);
  const [described, mayContinue] = steps;
  await described;
  return mayContinue;
}

/**
 * What the first connections found. A server that does not answer at first is a finding. One that has answered is restarting or
 * failing over.
 */
interface Answers {
  haveServersAnswered: boolean;
}

async function prepare(
  context: RunContext,
  gates: UserGates,
  answers: Answers,
  databases: readonly DatabaseRecord[],
): Promise<boolean> {
  if (databases.some(({ phase }) => phase !== "queued")) return true;
  await retry(context.retryPolicy(), () => refuseAllHandedOver(context, databases));
  await gates.sourceCanBeFollowed();
  await gates.overwriteAllowed();
  if (context.spec.migrationOption !== "Migrate" && !(await isValid(context, answers, gates.findings))) return false;
  if (context.spec.migrationOption !== "Validate") await gates.mayStart();
  return true;
}

async function refuseAllHandedOver(context: RunContext, databases: readonly DatabaseRecord[]): Promise<void> {
  for (const database of databases) await refuseHandedOver(context, database);
}

/** Target databases that an earlier try created. They do not count as existing. */
const ownDatabases = (databases: readonly DatabaseRecord[]): Set<string> =>
  new Set(databases.filter((one) => one.createdByUs || one.beingCreated).map((one) => one.targetName));

/**
 * Records version and size of both servers for display. Waits for a server that is starting. The validation reports a
 * server that is unreachable or refuses the connection.
 */
async function describeServers(context: RunContext, answers: Answers): Promise<void> {
  const { source, target, journal } = context;
  const { migrationName, maintenanceDatabase, dbsToMigrate } = context.spec;
  const policy = context.retryPolicy((error) => {
    answers.haveServersAnswered ||= isStarting(error);
    return answers.haveServersAnswered && isConnectionLoss(error);
  });
  try {
    const metadata = [
      retry(policy, () => readServerMetadata(source, dbsToMigrate[0]!, migrationName)),
      retry(policy, () => readServerMetadata(target, maintenanceDatabase, migrationName)),
    ] as const;
    await journal.servers(...(await Promise.all(metadata)));
  } catch (error) {
    if (!(error instanceof RefusedError || isConnectionLoss(error))) throw error;
    await journal.event(`cannot read the servers' versions and sizes: ${messageOf(error)}`, { level: "warning" });
  }
}

/** @param earlierFindings findings to report with those of the validation */
async function isValid(context: RunContext, answers: Answers, earlierFindings: readonly Finding[]): Promise<boolean> {
  const { journal } = context;
  await Promise.all([journal.state("InProgress", "ValidationInProgress"), journal.validationStarted()]);
  const findings = [...earlierFindings, ...(await validateWithRetries(context, answers))];
  await journal.validationEnded(findings);
  const failed = findings.filter((finding) => finding.state === "Failed");
  if (failed.length === 0) return true;
  for (const { database, code, message } of failed)
    await journal.event([...(code === undefined ? [] : [code]), message].join(": "), {
      level: "error",
      ...(database === undefined ? {} : { database }),
    });
  const [problems, them] = failed.length > 1 ? [`${failed.length} problems`, "them"] : ["1 problem", "it"];
  await journal.state("ValidationFailed", "Completed", `validation found ${problems}; fix ${them} and run again`);
  return false;
}

/** The validation throws only the losses of connections that were established, and reports the others as findings. */
async function validateWithRetries(context: RunContext, answers: Answers): Promise<Finding[]> {
  const isRetryable = (error: unknown): boolean => (answers.haveServersAnswered = isConnectionLoss(error));
  return retry(context.retryPolicy(isRetryable), () => validateAll(context, answers));
}

async function validateAll(context: RunContext, { haveServersAnswered }: Answers): Promise<Finding[]> {
  const { source, target, spec, journal } = context;
  const [databases, occupied] = await Promise.all([
    context.currentDatabases(),
    occupiedDatabases(journal.lease.records, spec.migrationName),
  ]);
  return validate({
    ...{ spec, source, target, occupied, haveServersAnswered },
    ownDatabases: ownDatabases(databases),
    // Online, the publication changes the catalogues before the copy.
    keptDumps: spec.migrationMode === "Offline" && spec.migrationOption !== "Validate" ? context.keptDumps : undefined,
  });
}
