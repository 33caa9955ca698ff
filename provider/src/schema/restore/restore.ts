import pg from "pg";
import { cancellation } from "../../copy/cancellation.js";
import { RefusedError } from "../../errors.js";
import type { Entry } from "../sql/toc-entries.js";
import { type RestoreFinding, summarize } from "../sql/restore-findings.js";
import { createDirectly, splitRecursiveDefinition } from "./recursive-functions.js";
import type { RestoreContext } from "./restore-context.js";
import { rootCause, isMissingObject, mentions, skippedEntry } from "./skipped-entries.js";
import { describeEntry } from "./adapted-entry.js";
import { restoreEntry } from "./restore-entry.js";
import { type RestoreApart, batches, batchesLeft, restoreTogether } from "./restore-batches.js";

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
    if (context.signal?.aborted) throw cancellation(`the restore, before ${describeEntry(batch[0]!)},`, context.signal);
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
    if (signal?.aborted) throw cancellation(`the restore, before ${describeEntry(entry)},`, signal);
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
    context.skipped.set(entry.id, skippedEntry(entry, `${describeEntry(entry)} was refused`));
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
async function refusalOf(
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
