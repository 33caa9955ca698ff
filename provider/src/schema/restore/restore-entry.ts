import type pg from "pg";
import { RefusedError } from "../../errors.js";
import { type Draft, adaptedEntryOf, describeEntry, findingFor } from "./adapted-entry.js";
import { type Entry, catalogueKey, isProperty } from "../sql/toc-entries.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { type RestoreContext, readTableAccessMethods } from "./restore-context.js";
import { type Refusal, withOwnerRole, revise } from "./adapt-entry.js";
import { type Statement, splitStatements, withoutSecrets } from "../sql/statements.js";
import { isDispensable, rootCause, possibleCause, skippedEntry } from "./skipped-entries.js";
import { isDuplicate, isDone, requireOwn, dropInvalidIndex } from "./existing-objects.js";
import { runAdapted, watched } from "./restore-transaction.js";

/** Restores one entry as if in its own transaction, adapted to the target. */
export async function restoreEntry(
  target: pg.Client,
  entry: Entry,
  context: RestoreContext,
): Promise<readonly RestoreFinding[]> {
  const findings = await restoreAdapted(target, entry, context);
  await learnAccessMethods(target, [entry], context);
  const isLeftOut = !isProperty(entry) && findings.some(({ state }) => state === "Failed");
  if (isLeftOut) context.missing.add(catalogueKey(entry));
  return findings;
}

async function restoreAdapted(
  target: pg.Client,
  entry: Entry,
  context: RestoreContext,
): Promise<readonly RestoreFinding[]> {
  const root = rootCause(entry, context);
  if (root !== undefined && isDispensable(entry)) return skip(entry, root, context);
  let draft = adaptedEntryOf(entry, context);
  let deadlocks = 0;
  while (true) {
    const { answer: refusal, ungranted } = await watched(target, () => runAdapted(target, draft));
    if (!refusal) {
      const asOwner = ungranted.length === 0 ? undefined : withOwnerRole(draft, context);
      if (!asOwner) return [...draft.findings, ...ungranted.map((message) => notGranted(entry, message))];
      draft = asOwner;
      continue;
    }
    if (refusal.error.code === "40P01" && deadlocks++ < 5) continue;
    if (isDone(entry, refusal, context)) {
      await requireOwn(target, entry, refusal);
      if (await dropInvalidIndex(target, entry, refusal)) continue;
      return draft.findings;
    }
    const revised = await revise(target, draft, refusal, context);
    if (!revised) return giveUp(draft, refusal, context);
    draft = revised;
  }
}

/** Entries of tables follow the entry of their access method. */
export async function learnAccessMethods(
  target: pg.Client,
  restored: readonly Entry[],
  { tableAccessMethods }: RestoreContext,
): Promise<void> {
  if (!restored.some(({ type }) => type === "ACCESS METHOD" || type === "EXTENSION")) return;
  for (const name of await readTableAccessMethods(target)) tableAccessMethods.add(name);
}

const notGranted = (entry: Entry, message: string): RestoreFinding =>
  findingFor(entry, {
    code: "603705",
    message: `not all privileges were migrated: ${message}`,
    remedy: "as the object's owner, grant as on the source",
    state: "Warning",
  });

function skip(entry: Entry, reason: string, { skipped }: RestoreContext): RestoreFinding[] {
  if (!skipped.has(entry.id)) skipped.set(entry.id, skippedEntry(entry, reason));
  return [
    findingFor(entry, {
      code: "PGM-433",
      message: `it was left out with what it belongs to: ${reason}`,
      state: "Failed",
    }),
  ];
}

/** Insufficient privilege, unsupported feature, missing file, missing object, missing library. */
const forbidding: ReadonlySet<string> = new Set(["42501", "0A000", "58P01", "42704", "22023"]);

function giveUp(draft: Draft, { statement, error }: Refusal, context: RestoreContext): readonly RestoreFinding[] {
  const { entry } = draft;
  const isForbidden = entry.type === "EXTENSION" || forbidding.has(error.code ?? "");
  // Entries about members of an extension do not mention the extension.
  const isLeftBehind = possibleCause(entry, error, context) !== undefined;
  if (isDispensable(entry) && (isForbidden || isLeftBehind)) {
    if (!isProperty(entry))
      context.skipped.set(entry.id, skippedEntry(entry, `${describeEntry(entry)}: ${error.message}`));
    const message = `it was left out: ${error.message}`;
    // Such an entry was adapted by other statements.
    const left = entry.type.endsWith(" DEFINER") ? splitStatements(entry.sql)[0]! : statement;
    return [findingFor(entry, { code: "PGM-433", message, remedy: laterRemedy(entry, left), state: "Failed" })];
  }
  const root = rootCause(entry, context) ?? possibleCause(entry, error, context);
  const because = root === undefined ? "" : `; probably the cause: ${root}, which was left out`;
  throw new RefusedError(
    `${describeEntry(entry)} was refused by the target: ${error.message} (SQLSTATE ${error.code ?? "unknown"})${because}\n  in: ${beginning(statement)}`,
    { remedy: remedyFor(entry, error, context, root), cause: error },
  );
}

const laterRemedy = (entry: Entry, statement: Statement): string =>
  entry.type === "EXTENSION"
    ? `allow ${entry.name} on the target (Azure: server parameter azure.extensions), then: ${beginning(statement)}`
    : `as a role with the privilege, run: ${beginning(statement)}`;

function remedyFor(entry: Entry, error: pg.DatabaseError, context: RestoreContext, root: string | undefined): string {
  if (root !== undefined) return "correct the probable cause on the target, then run the migration again";
  if (!context.resumed && isDuplicate(entry, error))
    return "drop the object on the target, or let the migration overwrite the database";
  if (error.code?.startsWith("53"))
    return `correct the target's lack of resources (${error.message}), then run the migration again`;
  return "change or drop the object on the source so that the target accepts it, or exclude it, then run the migration again";
}

function beginning(statement: Statement): string {
  const text = withoutSecrets(statement).replace(/\s+/g, " ");
  return text.length > 300 ? `${text.slice(0, 300)} ...` : text;
}
