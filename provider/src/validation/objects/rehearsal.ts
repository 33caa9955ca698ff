import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { runGroups } from "../../async/run-groups.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { connect } from "../../postgres/connection/connect.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { readCatalogueRows } from "../../schema/catalogue/catalogue-rows.js";
import { createTargetDatabase, dropTargetDatabase, readDatabaseProperties } from "../../schema/database/database.js";
import { rehearsalDatabase } from "../../schema/database/rehearsal-database.js";
import { dumpSchema } from "../../schema/dump/dump.js";
import { entriesOfEachForm, mayBeOneOfMany } from "../../schema/plan/entries-of-each-form.js";
import { planRestore } from "../../schema/plan/restore-plan.js";
import { hiddenTables, readSelection, selectEntries } from "../../schema/plan/selection.js";
import { withoutTemporaryReplicaIdentities } from "../../schema/plan/temporary-replica-identity.js";
import { type RestoreContext, readRestoreContext, readSearchPath } from "../../schema/restore/restore-context.js";
import { type RestoreApart, restoreGroups } from "../../schema/restore/restore-batches.js";
import { type TriedEntries, tryEntries } from "../../schema/restore/restore.js";
import { type Entry, parseTocEntries } from "../../schema/sql/toc-entries.js";
import type { Finding } from "../../findings.js";
import type { ValidationContext } from "../context.js";

const maxFindings = 50;
/** The copy waits longer for locks. The validation of a locked schema is a warning, and must not take a minute. */
const lockSeconds = 5;
const sessionsOfRestore = 4;
const purpose = "rehearse the restore";

/**
 * Restores the schema into an empty temporary database of the target, and drops it. Of tables that differ only in names, it first
 * restores one. If the target refuses anything, or cannot have such a table, it restores the complete schema. This reports all refusals
 * of the target at once, before the first row is copied. It takes most of the validation's time. Therefore it has sessions of its
 * own, and runs while the rules use theirs.
 */
export async function rehearsal(context: ValidationContext): Promise<Finding[]> {
  const { sources, spec } = context;
  if (spec.dataOnly) return [];
  const findings: Finding[] = [];
  for (const database of sources.keys()) {
    try {
      findings.push(...(await rehearse(context, database)));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      findings.push(notRehearsed(database, error));
    }
  }
  return findings;
}

function rehearse(context: ValidationContext, database: string): Promise<Finding[]> {
  const { source, targetEndpoint, spec } = context;
  return withTwoSessions(
    () => connect(targetEndpoint, { database: spec.maintenanceDatabase, purpose }),
    () => connect(source, { database, purpose }),
    (maintenance, session) => rehearseIn(context, database, { maintenance, session }),
  );
}

async function rehearseIn(
  context: ValidationContext,
  database: string,
  { maintenance, session }: { readonly maintenance: Client; readonly session: Client },
): Promise<Finding[]> {
  const { spec } = context;
  const name = rehearsalDatabase(spec.migrationName, database);
  const properties = await readDatabaseProperties(session);
  const create = async (): Promise<void> => {
    await dropTargetDatabase(maintenance, name);
    await createTargetDatabase(maintenance, name, {
      ...properties,
      ...{ comment: `pg-migration: rehearsal of ${spec.migrationName}`, settings: [], privileges: [] },
    });
  };
  try {
    const [entries] = await bothOf(readEntries(context, database, session), create());
    const restore = (some: readonly Entry[]): Promise<Finding[]> =>
      restoreIn(context, database, { name, session, entries: some });
    const typical = entriesOfEachForm(entries);
    const findings = await restore(typical);
    if (typical.length === entries.length || !findings.some(mayConcernOthers)) return findings;
    // Each refused or skipped object has to be named, and an entry may have been refused because another was left out.
    await create();
    return await restore(entries);
  } finally {
    await dropTargetDatabase(maintenance, name);
  }
}

/** An object that is skipped for itself, such as an extension, does not. */
const mayConcernOthers = ({ state, object }: Finding): boolean =>
  state === "Failed" || mayBeOneOfMany(object ?? "OBJECT ");

interface RehearsedRestore {
  /** The temporary database. */
  readonly name: string;
  /** A session in the source's database. */
  readonly session: Client;
  readonly entries: readonly Entry[];
}

function restoreIn(
  { targetEndpoint, spec }: ValidationContext,
  database: string,
  { name, session, entries }: RehearsedRestore,
): Promise<Finding[]> {
  return withSession(targetEndpoint, { database: name, purpose }, async (target) => {
    const context = await readRestoreContext(target, { sourceSearchPath: await readSearchPath(session) });
    const apart: RestoreApart = (groups) => restoreApart({ endpoint: targetEndpoint, database: name }, groups, context);
    const { before, builds, deferredBuilds, after, validations, handover } = planRestore(entries);
    const tried: TriedEntries[] = [];
    for (const part of [before, [...builds, ...deferredBuilds].map(entryOf), after, validations.map(entryOf), handover])
      tried.push(await tryEntries(target, part, context, apart));
    return findingsOf(database, tried, spec.migrateRoles);
  });
}

/** Restores the groups of a large schema in several sessions, or in as many as the target has room for. */
const restoreApart = (
  { endpoint, database }: { readonly endpoint: Endpoint; readonly database: string },
  groups: readonly (readonly Entry[])[],
  context: RestoreContext,
): Promise<ReadonlySet<Entry>> =>
  restoreGroups(groups, context, (batched, restoreBatch) =>
    runGroups<readonly Entry[], Client>({
      groups: batched,
      atOnce: sessionsOfRestore,
      signal: new AbortController().signal,
      withTool: async (use) => {
        const session = await connect(endpoint, { database, purpose }).catch(unlessNoSession);
        if (session) await use(session).finally(() => session.end());
      },
      runGroup: async (target, group) => {
        for (const batch of group) await restoreBatch(target, batch);
      },
    }),
  );

function unlessNoSession(error: unknown): undefined {
  if (!(error instanceof RefusedError || error instanceof UnreachableError)) throw error;
}

/** Waits for both, also if one fails, so that neither runs beside the clean-up. */
async function bothOf<One, Other>(one: Promise<One>, other: Promise<Other>): Promise<[One, Other]> {
  await Promise.allSettled([one, other]);
  return Promise.all([one, other]);
}

const entryOf = ({ entry }: { readonly entry: Entry }): Entry => entry;

async function readEntries(
  { source, spec, keptDumps, sourceVersion: version }: ValidationContext,
  database: string,
  session: Client,
): Promise<Entry[]> {
  const selection = await readSelection(session, spec);
  const without = await hiddenTables(session, selection);
  // Before the dump: a change that commits during the dump changes the rows in the snapshot of the copy.
  const catalogueRows = keptDumps && (await readCatalogueRows(session));
  const { text, tool } = await dumpSchema(source, database, { version, without, lockSeconds });
  const entries = withoutTemporaryReplicaIdentities(parseTocEntries(text));
  if (catalogueRows !== undefined) keptDumps?.keep(database, { entries, tool, without, catalogueRows });
  return selectEntries(entries, selection);
}

function findingsOf(database: string, tried: readonly TriedEntries[], migrateRoles: boolean): Finding[] {
  const common = { database, type: "SchemaValidation", objectType: "Database", code: "PGM-433" } as const;
  // The migration creates roles after its validation.
  const isAboutRole = (message: string): boolean => migrateRoles && /\brole "/.test(message);
  const refused = tried.flatMap(({ refusals }) => refusals).filter(({ message }) => !isAboutRole(message));
  const skipped = tried
    .flatMap(({ findings }) => findings)
    .filter(({ state, objectType, message }) => state === "Failed" && isReportedEarly(objectType, message));
  const found = [
    ...refused.map((refusal): Finding => {
      const message = refusal.message.split("\n  To do: ")[0]!;
      return {
        ...common,
        state: "Failed",
        object: message.split(" was refused ")[0]!,
        message,
        remedy: refusal.remedy,
      };
    }),
    ...skipped
      .filter(({ message }) => !isAboutRole(message))
      .map(({ object, objectType, message, remedy }): Finding => {
        return {
          ...common,
          state: "Warning",
          object: `${objectType} ${object}`,
          message: `${objectType} ${object}: ${message}`,
          remedy,
        };
      }),
  ];
  const more = found.length - maxFindings;
  if (more <= 0) return found;
  const rest: Finding = { ...common, state: "Warning", message: `the target refused or skipped ${more} more objects` };
  return [...found.slice(0, maxFindings), rest];
}

/**
 * The migration reports skipped subscriptions and policies: subscriptions are always skipped, policies because of their
 * roles.
 */
const isReportedEarly = (type: string, message: string): boolean =>
  !/^(SUBSCRIPTION|SUBSCRIPTION TABLE|POLICY)$/.test(type) && !message.startsWith("it was left out with");

const notRehearsed = (database: string, error: RefusedError): Finding => ({
  database,
  type: "SchemaValidation",
  state: "Warning",
  code: "PGM-434",
  object: database,
  objectType: "Database",
  message: `the restore of the schema was not tried in a temporary database: ${messageOf(error).split("\n  To do: ")[0]!}`,
  remedy: error.remedy,
});
