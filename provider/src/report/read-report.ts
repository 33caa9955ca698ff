import { engineVersion } from "../engine-version.js";
import { publicEndpoint, type MigrationSpec, type PublicEndpoint } from "../inputs/inputs.js";
import type { ServerMetadata } from "../status.js";
import { readEvents } from "../store/read-events.js";
import { readStatus } from "../store/read-status.js";
import { readTargetCheck } from "../store/target-check.js";
import { readMigration } from "../store/records.js";
import type { Store } from "../store/store.js";
import { readFindings } from "./read-findings.js";
import { readNotMigrated } from "./read-not-migrated.js";
import {
  countEvents,
  readReportedDatabases,
  readReportedSequences,
  readReportedTables,
  readTimeline,
} from "./read-results.js";
import type { MigrationReport } from "./report-schema.js";

const maxEvents = 2000;

/**
 * Reads everything that is recorded about a migration in any state. All parts show the same moment. Returns undefined if the
 * migration is not recorded. The report contains no secret, because the records have none.
 *
 * @throws UnreachableError when the session is lost
 * @example const report = await readReport(store, "crm");
 */
export const readReport = (store: Store, name: string): Promise<MigrationReport | undefined> =>
  store.atOnce(async () => {
    // All queries show the same moment, although the worker writes meanwhile.
    await store.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    return read(store, name);
  });

async function read(store: Store, name: string): Promise<MigrationReport | undefined> {
  const record = await readMigration(store, name);
  const status = record && (await readStatus(store, name));
  if (!status) return undefined;
  const { spec } = record;
  const { currentSubState, reachedSubState } = status.currentSubStateDetails;
  const events = await readEvents(store, name, { most: maxEvents });
  const findings = await readFindings(store, name);
  return {
    formatVersion: 1,
    generatedOn: new Date().toISOString(),
    generatedBy: `pulumi-pg-migration ${engineVersion}`,
    migration: {
      ...{ id: status.migrationId, name, mode: spec.migrationMode, option: spec.migrationOption },
      ...{ state: status.state, subState: currentSubState, reachedSubState, error: status.error },
      ...{ startedOn: record.startedOn.toISOString(), endedOn: status.endedOn },
      ...{ workerVersion: status.worker.version, workerHost: status.worker.host },
    },
    source: serverOf(spec.source, status.sourceDbServerMetadata),
    target: serverOf(spec.target, status.targetDbServerMetadata),
    inputs: inputsOf(spec),
    databases: await readReportedDatabases(store, name),
    tables: await readReportedTables(store, name),
    sequences: await readReportedSequences(store, name),
    notMigrated: await readNotMigrated(store, name, findings),
    findings,
    targetCheck: await readCheck(store, name),
    cutover: [...status.cutoverTimeline],
    timeline: await readTimeline(store, record),
    events: events.map(({ at, level, database, message }) => ({ at, level, database, message })),
    eventsOmitted: (await countEvents(store, name)) - events.length,
  };
}

async function readCheck(store: Store, name: string): Promise<MigrationReport["targetCheck"]> {
  const check = await readTargetCheck(store, name);
  if (!check) return undefined;
  const problems = check.problems.map(({ state: severity, code, database, object, message, remedy }) => ({
    ...{ severity, code, database, object, message, remedy },
  }));
  return { ...check, problems };
}

const serverOf = (
  { host, port, user, sslMode }: PublicEndpoint,
  metadata: ServerMetadata | undefined,
): MigrationReport["source"] => ({
  ...{ host, port, user, sslMode },
  version: metadata?.version,
  storageMb: metadata?.storageMb,
});

/** The inputs with the public settings of both servers. A certificate that was passed as PEM text is too long to show. */
function inputsOf({ source, target, ...inputs }: MigrationSpec): Record<string, unknown> {
  const shown = (server: PublicEndpoint): unknown => {
    const { sslRootCert, ...rest } = publicEndpoint(server);
    if (sslRootCert === undefined) return rest;
    return { ...rest, sslRootCert: sslRootCert.includes("-----BEGIN") ? "PEM text" : sslRootCert };
  };
  return { ...inputs, source: shown(source), target: shown(target) };
}
