import pg from "pg";
import { cancellation } from "../../copy/cancellation.js";
import { RefusedError } from "../../errors.js";
import { qualify, quoteLiteral } from "../../postgres/identifiers.js";
import { type Draft, adaptedEntryOf, findingFor, objectName } from "./adapted-entry.js";
import { type Entry, catalogueKey, isProperty } from "../sql/toc-entries.js";
import { type ObjectPlace, untrustedObjects } from "../../postgres/untrusted-objects.js";
import { refused } from "../sql/refused.js";
import { type RestoreFinding, summarize } from "../sql/restore-findings.js";
import { createDirectly, splitRecursiveDefinition } from "./recursive-functions.js";
import { type RestoreContext, type SkippedEntry, readTableAccessMethods } from "./restore-context.js";
import { type Refusal, withOwnerRole, revise } from "./adapt-entry.js";
import { follows, identifierName, tokenize } from "../sql/tokenize.js";
import { type Statement, relationAt, schemaOf, splitStatements, withoutSecrets } from "../sql/statements.js";
import { parallelGroupsOf } from "./parallel-groups.js";

/** Kinds whose loss does not affect data or other objects. Objects that need one of them name it as the cause. */
const dispensable: ReadonlySet<string> = new Set([
  "ACCESS METHOD",
  "ACL",
  "CAST",
  "COMMENT",
  "CONVERSION",
  "DEFAULT ACL",
  "EVENT TRIGGER",
  "EXTENSION",
  "FOREIGN DATA WRAPPER",
  "OPERATOR CLASS",
  "OPERATOR FAMILY",
  "PROCEDURAL LANGUAGE",
  "PUBLICATION",
  "PUBLICATION TABLE",
  "PUBLICATION TABLES IN SCHEMA",
  "SECURITY LABEL",
  "SERVER",
  "TEXT SEARCH PARSER",
  "TEXT SEARCH TEMPLATE",
  "TRANSFORM",
  "USER MAPPING",
]);

const isDispensable = (entry: Entry): boolean => dispensable.has(entry.type) || isProperty(entry) || isShellType(entry);

/** A shell type, which was declared but never defined. No column can have it. */
const isShellType = ({ type, sql }: Entry): boolean => type === "TYPE" && tokenize(sql, 7).length === 6;

/** Insufficient privilege, unsupported feature, missing file, missing object, missing library. */
const forbidding: ReadonlySet<string> = new Set(["42501", "0A000", "58P01", "42704", "22023"]);

/** Duplicate column, object, function, schema, table (manual, "PostgreSQL Error Codes"). */
const duplicates: ReadonlySet<string> = new Set(["42701", "42710", "42723", "42P06", "42P07"]);

/** Whether a statement was refused because an earlier run executed it. */
function isDuplicate({ type }: Entry, { code, schema }: pg.DatabaseError): boolean {
  switch (code) {
    case "42P16": // a second primary key
      return type === "CONSTRAINT";
    case "42809": // the partition is already attached
      return type === "TABLE ATTACH";
    case "55000": // the column is already an identity column, or the key already uses its index
      return type === "SEQUENCE" || type === "CONSTRAINT";
    case "23505": // kinds whose existence the server does not check first; an error in users' tables has another cause
      return schema === "pg_catalog";
    default:
      return duplicates.has(code ?? "");
  }
}

/**
 * Restores entries in several sessions: groups in parallel, and the entries of each with {@link restoreTogether}.
 * Returns the restored entries.
 */
export type RestoreApart = (groups: readonly (readonly Entry[])[]) => Promise<ReadonlySet<Entry>>;

/**
 * Restores entries one after another, each as if in its own transaction, adapted to the target. Each object that could
 * not be restored unchanged is reported in a finding.
 *
 * @param apart restores hundreds of mostly independent entries in parallel
 * @throws RefusedError naming every refused entry; the others stay
 * @throws UnreachableError when the connection breaks: run the same entries again with `resumed`
 * @throws the reason of the context's signal, or CanceledError, between two entries
 */
export async function restoreEntries(
  target: pg.Client,
  entries: readonly Entry[],
  context: RestoreContext,
  apart?: RestoreApart,
): Promise<RestoreFinding[]> {
  const { findings, refusals } = await tryEntries(target, entries, context, apart);
  if (refusals.length > 0) throw allRefused(refusals);
  return findings;
}

export interface TriedEntries {
  readonly findings: RestoreFinding[];
  /** Refused entries, except those whose refusal is explained by another refused entry. */
  readonly refusals: readonly RefusedError[];
}

/** Restores entries like {@link restoreEntries}, but returns the refusals. */
export async function tryEntries(
  target: pg.Client,
  entries: readonly Entry[],
  context: RestoreContext,
  apart?: RestoreApart,
): Promise<TriedEntries> {
  const attempt: RestoreAttempt = { target, context, findings: [] };
  const waiting: Entry[] = [];
  for await (const batch of apart ? batchesLeft(entries, apart) : batches(entries)) {
    if (context.signal?.aborted) throw cancellation(`the restore, before ${describe(batch[0]!)},`, context.signal);
    if (batch.length > 1 && (await restoreTogether(target, batch, context))) continue;
    waiting.push(...(await restoreReady(attempt, batch, waiting)));
  }
  const refusals = await restoreWaiting(attempt, waiting);
  return { findings: summarize(attempt.findings), refusals };
}

interface RestoreAttempt {
  readonly target: pg.Client;
  readonly context: RestoreContext;
  /** Receives the findings of all restored entries. */
  readonly findings: RestoreFinding[];
}

/** Restores entries whose requirements exist. Returns the others, and the entries that belong to them. */
async function restoreReady(
  attempt: RestoreAttempt,
  entries: readonly Entry[],
  before: readonly Entry[],
): Promise<Entry[]> {
  const { signal } = attempt.context;
  const waits = new Set(before.map(({ id }) => id));
  const waiting: Entry[] = [];
  const wait = (entry: Entry): void => {
    waits.add(entry.id);
    waiting.push(entry);
  };
  for (const entry of entries) {
    if (signal?.aborted) throw cancellation(`the restore, before ${describe(entry)},`, signal);
    if (entry.dependencies.some((id) => waits.has(id))) {
      wait(entry);
      continue;
    }
    if (await refusalOf(attempt, entry)) wait(entry);
  }
  return waiting;
}

/**
 * Retries refused entries after the others, as long as some succeed. The reason: pg_dump does not know what a
 * function's body needs, and the server evaluates the body for generated columns and views.
 */
async function restoreWaiting(attempt: RestoreAttempt, entries: readonly Entry[]): Promise<RefusedError[]> {
  const { context } = attempt;
  let waiting = entries;
  let tried = Infinity;
  while (waiting.length > 0 && waiting.length < tried) {
    tried = waiting.length;
    waiting = await restoreReady(attempt, waiting, []);
    if (waiting.length === tried) waiting = await restoreRecursive(attempt, waiting);
  }
  const refused: { readonly entry: Entry; readonly refusal: RefusedError }[] = [];
  for (const entry of waiting) {
    const refusal = await refusalOf(attempt, entry);
    if (!refusal) continue;
    if (rootCause(entry, context) === undefined) refused.push({ entry, refusal });
    context.skipped.set(entry.id, skippedEntry(entry, `${describe(entry)} was refused`));
  }
  return rootRefusals(refused);
}

/** Removes refusals of entries that need another refused entry. */
function rootRefusals(refused: readonly { readonly entry: Entry; readonly refusal: RefusedError }[]): RefusedError[] {
  const isConsequence = ({ entry, refusal }: (typeof refused)[number]): boolean =>
    isMissingObject(refusal.cause) &&
    refused.some((other) => other.entry.id !== entry.id && mentions(entry, skippedEntry(other.entry, "")));
  const roots = refused.filter((one) => !isConsequence(one));
  return (roots.length > 0 ? roots : refused).map(({ refusal }) => refusal);
}

/**
 * Restores functions that call themselves or each other, also through operators and views. Returns the entries that
 * still wait.
 */
async function restoreRecursive(attempt: RestoreAttempt, entries: readonly Entry[]): Promise<readonly Entry[]> {
  let waiting = entries;
  for (const { entry, replaces } of splitRecursiveDefinition(entries)) {
    if (!replaces.every((one) => waiting.includes(one))) continue;
    if (await refusalOf(attempt, entry)) continue;
    waiting = waiting.filter((one) => !replaces.includes(one));
  }
  const atOnce = createDirectly(waiting);
  if (!atOnce || (await refusalOf(attempt, atOnce.entry))) return waiting;
  return waiting.filter((one) => !atOnce.replaces.includes(one));
}

/**
 * Restores one entry like {@link restoreEntries}, and adds its findings. Returns the refusal if the target refused the
 * entry because of its content; undefined if the object exists.
 */
export async function refusalOf(
  { target, context, findings }: RestoreAttempt,
  entry: Entry,
): Promise<RefusedError | undefined> {
  try {
    findings.push(...(await restoreEntry(target, entry, context)));
    return undefined;
  } catch (error) {
    if (!(error instanceof RefusedError) || !isOfItsOwn(error)) throw error;
    return error;
  }
}

const refusalsNamed = 20;

/** Whether the target refused an entry because of its content, and not because of the server's state. */
function isOfItsOwn({ cause }: RefusedError): boolean {
  return cause instanceof pg.DatabaseError && /^(0A|22|23|2B|42|3F|P0|55000)/.test(cause.code ?? "");
}

/** Combines all refusals into one error. */
function allRefused(refusals: readonly RefusedError[]): RefusedError {
  const [first] = refusals;
  if (refusals.length === 1) return first!;
  const named = refusals.slice(0, refusalsNamed).map((refusal) => refusal.message.split("\n  To do: ")[0]!);
  const more = refusals.length > named.length ? [`and ${refusals.length - named.length} more`] : [];
  return new RefusedError([`the target refused ${refusals.length} objects:`, ...named, ...more].join("\n"), {
    remedy: "change or drop them on the source, or exclude them, then run the migration again",
    cause: new AggregateError(refusals),
  });
}

/** Entries per transaction: each created table needs some of the server's locks until the commit. */
const entriesPerTransaction = 100;

/** Kinds for which the server only warns if it ignores a statement. */
const isWatched = ({ type }: Entry): boolean => type === "ACL" || type === "DEFAULT ACL";

/** Divides consecutive entries into transactions. Otherwise thousands of tables would need thousands of commits. */
export function* batches(entries: readonly Entry[]): Generator<readonly Entry[]> {
  let batch: Entry[] = [];
  for (const entry of entries) {
    if (batch.length === entriesPerTransaction || (batch.length > 0 && isWatched(entry) !== isWatched(batch[0]!))) {
      yield batch;
      batch = [];
    }
    batch.push(entry);
  }
  if (batch.length > 0) yield batch;
}

/** The entries that remain after the parallel restore, in the dump's order. */
async function* batchesLeft(entries: readonly Entry[], apart: RestoreApart): AsyncGenerator<readonly Entry[]> {
  for (const { entries: stretch, groups } of parallelGroupsOf(entries)) {
    const restored = groups.length > 1 ? await apart(groups) : undefined;
    yield* batches(restored ? stretch.filter((entry) => !restored.has(entry)) : stretch);
  }
}

/**
 * Restores entries in one transaction and one round trip. Returns false, with no changes, if any entry needs adaptation
 * or is refused.
 */
export async function restoreTogether(
  target: pg.Client,
  batch: readonly Entry[],
  context: RestoreContext,
): Promise<boolean> {
  if (context.resumed || batch.some((entry) => rootCause(entry, context) !== undefined)) return false;
  const drafts = batch.map((entry) => adaptedEntryOf(entry, context));
  const plain = drafts.every((draft) => draft.findings.length === 0 && Object.keys(draft.settings).length === 0);
  if (!plain) return false;
  const statements = drafts.flatMap((draft) => draft.statements.map(({ text }) => text));
  if (statements.length === 0) return true;
  const all = `BEGIN; ${transactionSettings(drafts[0]!)}; ${statements.join(";\n")}`;
  // Statements with possible warnings are not committed before the warnings are read.
  const commitsApart = batch.some(isWatched);
  const { answer: error, ungranted } = await watched(target, () =>
    refused(target, commitsApart ? all : `${all};\nCOMMIT`),
  );
  if (error || ungranted.length > 0) {
    await refused(target, "ROLLBACK");
    return false;
  }
  if (commitsApart) return (await refused(target, "COMMIT")) === undefined;
  await learnAccessMethods(target, batch, context);
  return true;
}

/** Restores the entries of a batch, or none of them. */
export type RestoreBatch = (target: pg.Client, batch: readonly Entry[]) => Promise<void>;

/**
 * Restores groups in several sessions. Returns the restored entries.
 *
 * @param run restores the batches of each group one after another, with sessions of its own
 */
export async function restoreGroups(
  groups: readonly (readonly Entry[])[],
  context: RestoreContext,
  run: (groups: readonly (readonly Entry[])[][], restoreBatch: RestoreBatch) => Promise<void>,
): Promise<ReadonlySet<Entry>> {
  const restored = new Set<Entry>();
  const batched = groups.map((group) => [...batches(group)]);
  await run(batched, async (target, batch) => {
    if (await restoreTogether(target, batch, context)) for (const entry of batch) restored.add(entry);
  });
  return restored;
}

/** Entries of tables follow the entry of their access method. */
async function learnAccessMethods(
  target: pg.Client,
  restored: readonly Entry[],
  { tableAccessMethods }: RestoreContext,
): Promise<void> {
  if (!restored.some(({ type }) => type === "ACCESS METHOD" || type === "EXTENSION")) return;
  for (const name of await readTableAccessMethods(target)) tableAccessMethods.add(name);
}

/** Restores one entry like {@link restoreEntries}. */
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
    const { answer: refusal, ungranted } = await watched(target, () => attempt(target, draft));
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

/** privilege_not_granted and privilege_not_revoked: the server only warns, and changes nothing. */
const ungrantedCodes: ReadonlySet<string> = new Set(["01006", "01007"]);

/** Runs a statement, and returns its result and the server's warnings. */
async function watched<T>(
  target: pg.Client,
  run: () => Promise<T>,
): Promise<{ readonly answer: T; readonly ungranted: readonly string[] }> {
  const ungranted: string[] = [];
  const watch = ({ code, message }: { code: string | undefined; message: string | undefined }): void => {
    if (ungrantedCodes.has(code ?? "")) ungranted.push(message ?? "");
  };
  target.on("notice", watch);
  try {
    return { answer: await run(), ungranted };
  } finally {
    target.off("notice", watch);
  }
}

const notGranted = (entry: Entry, message: string): RestoreFinding =>
  findingFor(entry, {
    code: "603705",
    message: `not all privileges were migrated: ${message}`,
    remedy: "as the object's owner, grant as on the source",
    state: "Warning",
  });

/** Runs an adapted entry in one round trip. If it is refused, runs each statement to find the refused one. */
async function attempt(target: pg.Client, draft: Draft): Promise<Refusal | undefined> {
  const { statements } = draft;
  if (statements.length === 0) return undefined;
  const begin = `BEGIN; ${transactionSettings(draft)}`;
  const all = await refused(target, `${begin}; ${statements.map(({ text }) => text).join(";\n")};\nCOMMIT`);
  if (!all) return undefined;
  await refused(target, "ROLLBACK");
  if (statements.length === 1) return { statement: statements[0]!, error: all };
  await refused(target, begin);
  for (const statement of statements) {
    const error = await refused(target, statement.text);
    if (!error) continue;
    await refused(target, "ROLLBACK");
    return { statement, error };
  }
  const error = await refused(target, "COMMIT");
  return error && { statement: statements.at(-1)!, error };
}

function transactionSettings({ settings }: Draft): string {
  const wanted = Object.entries({
    check_function_bodies: "off",
    client_min_messages: "warning",
    default_tablespace: "",
    search_path: "",
    standard_conforming_strings: "on",
    xmloption: "content",
    ...settings,
  });
  const calls = wanted.map(([name, value]) => `pg_catalog.set_config('${name}', ${quoteLiteral(value)}, true)`);
  return `SELECT ${calls.join(", ")}`;
}

/** Whether an earlier run created the object. */
function isDone(entry: Entry, { error }: Refusal, { resumed }: RestoreContext): boolean {
  // Extensions may have created their schemas.
  if (entry.type === "SCHEMA" && error.code === "42P06") return true;
  return resumed && isDuplicate(entry, error);
}

/** The kind of {@link ObjectPlace} of an entry, if its kind is not the same in lower case. */
const placeKinds: ReadonlyMap<string, string> = new Map([
  ...["DOMAIN", "FOREIGN TABLE", "MATERIALIZED VIEW", "SHELL TYPE", "TABLE", "TYPE", "VIEW"].map(
    (type) => [type, "relation"] as const,
  ),
  ...["AGGREGATE", "PROCEDURE"].map((type) => [type, "function"] as const),
]);

/**
 * Refuses an object that another role created before the restore did. Its code would run with this role's privileges.
 *
 * @throws RefusedError
 */
async function requireOwn(target: pg.Client, entry: Entry, { statement, error }: Refusal): Promise<void> {
  const other = (await untrustedObjects(target, placeOf(entry, statement))).find(({ owner }) => owner !== entry.owner);
  if (!other) return;
  throw new RefusedError(`${describe(entry)} was not created: ${other.owner} has created one on the target`, {
    remedy: "find out why that role created it, and drop or rename it on the target",
    cause: error,
  });
}

function placeOf(entry: Entry, statement: Statement): ObjectPlace {
  const kind = placeKinds.get(entry.type) ?? entry.type.toLowerCase();
  const first = statement.tokens.findIndex(({ text }) => text === ".") - 1;
  // An operator consists of several tokens.
  const created = entry.type === "OPERATOR" ? undefined : relationAt(statement, first);
  return { kind, schema: entry.schema ?? "", name: entry.name, ...created };
}

/** Drops an index with an incomplete build, so that it is built again. Returns false without such an index. */
async function dropInvalidIndex(target: pg.Client, entry: Entry, { statement }: Refusal): Promise<boolean> {
  const schema = schemaOf(statement);
  if (schema === undefined || (entry.type !== "INDEX" && entry.type !== "CONSTRAINT")) return false;
  const { tokens } = statement;
  const key = tokens.findIndex((_, index) => follows(tokens, index, entry.type));
  const name = tokens[key + 1];
  if (key < 0 || !name) return false;
  // A partitioned table's index (relkind I) is invalid until its partitions' indexes are attached. It must not be
  // dropped.
  const { rowCount } = await target.query(
    `SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
        AND c.relname = $2 AND c.relkind = 'i' AND NOT i.indisvalid`,
    [schema, identifierName(name)],
  );
  if (rowCount === 0) return false;
  await target.query(`DROP INDEX ${qualify(schema, identifierName(name))}`);
  return true;
}

/** The reason why this entry, or an entry that it needs, was skipped. */
function rootCause({ id, dependencies }: Entry, { skipped }: RestoreContext): string | undefined {
  const cause = [id, ...dependencies].find((needed) => skipped.has(needed));
  return cause === undefined ? undefined : skipped.get(cause)?.reason;
}

/** Undefined object, function, table, schema. */
const missingObject: ReadonlySet<string> = new Set(["42704", "42883", "42P01", "3F000"]);

const isMissingObject = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && missingObject.has(error.code ?? "");

/**
 * The reasons of skipped entries whose objects a refused entry mentions. Objects without an entry belong to extensions:
 * if none is mentioned, all skipped extensions are possible causes.
 */
function possibleCause(entry: Entry, error: pg.DatabaseError, { skipped }: RestoreContext): string | undefined {
  if (!isMissingObject(error) || skipped.size === 0) return undefined;
  const all = [...skipped.values()];
  const named = all.filter((one) => mentions(entry, one));
  const causes = named.length > 0 ? named : all.filter(({ type }) => type === "EXTENSION");
  return causes.length === 0 ? undefined : [...new Set(causes.map(({ reason }) => reason))].slice(0, 10).join("; ");
}

/** Whether an entry's statements mention an object. pg_dump qualifies all names that have a schema. */
function mentions({ sql }: Entry, { type, schema, name }: SkippedEntry): boolean {
  // Comments and privileges are not objects that could be missing.
  if (type === "EXTENSION" || type === "ACL" || type === "COMMENT") return false;
  const wanted = /^(FUNCTION|PROCEDURE|AGGREGATE)$/.test(type) ? name.slice(0, name.indexOf("(")) : name;
  if (!sql.includes(wanted.replaceAll('"', '""'))) return false;
  const tokens = tokenize(sql);
  if (schema === undefined)
    return tokens.some((token) => /^(word|identifier)$/.test(token.kind) && identifierName(token) === wanted);
  return tokens.some((_, index) => {
    const relation = relationAt({ tokens }, index);
    return relation?.schema === schema && relation.name === wanted;
  });
}

const skippedEntry = ({ type, schema, name }: Entry, reason: string): SkippedEntry => ({ type, schema, name, reason });

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

function giveUp(draft: Draft, { statement, error }: Refusal, context: RestoreContext): readonly RestoreFinding[] {
  const { entry } = draft;
  const isForbidden = entry.type === "EXTENSION" || forbidding.has(error.code ?? "");
  // Entries about members of an extension do not mention the extension.
  const isLeftBehind = possibleCause(entry, error, context) !== undefined;
  if (isDispensable(entry) && (isForbidden || isLeftBehind)) {
    if (!isProperty(entry)) context.skipped.set(entry.id, skippedEntry(entry, `${describe(entry)}: ${error.message}`));
    const message = `it was left out: ${error.message}`;
    // Such an entry was adapted by other statements.
    const left = entry.type.endsWith(" DEFINER") ? splitStatements(entry.sql)[0]! : statement;
    return [findingFor(entry, { code: "PGM-433", message, remedy: laterRemedy(entry, left), state: "Failed" })];
  }
  const root = rootCause(entry, context) ?? possibleCause(entry, error, context);
  const because = root === undefined ? "" : `; probably the cause: ${root}, which was left out`;
  throw new RefusedError(
    `${describe(entry)} was refused by the target: ${error.message} (SQLSTATE ${error.code ?? "unknown"})${because}\n  in: ${beginning(statement)}`,
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

const describe = (entry: Entry): string => `${entry.type} ${objectName(entry)}`;

function beginning(statement: Statement): string {
  const text = withoutSecrets(statement).replace(/\s+/g, " ");
  return text.length > 300 ? `${text.slice(0, 300)} ...` : text;
}
