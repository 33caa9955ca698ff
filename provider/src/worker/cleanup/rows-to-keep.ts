import { randomUUID } from "node:crypto";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { ContentDiffersError } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { causingSqlState } from "../../postgres/sql-state.js";
import type { DatabaseRecord } from "../../store/records.js";
import { generationAfterFailure, type SharedCopy } from "../../store/shared-copies.js";

/**
 * The record of a failed copy whose rows the next attempt may use; undefined if it has to copy them again.
 *
 * Online, only rows that were not the cause: changes that the source makes to them are applied after the step that failed.
 * Offline, the next attempt compares all rows first.
 */
export function rowsToKeep(
  { phase, createdByUs, sharedCopy }: DatabaseRecord,
  spec: MigrationSpec,
  error: unknown,
): SharedCopy | undefined {
  if (phase !== "copying" || !createdByUs || !sharedCopy || spec.schemaOnly || spec.dataOnly) return undefined;
  const isKept = spec.migrationMode === "Online" ? isOfServer(error) : !(error instanceof ContentDiffersError);
  // Helpers of the failed attempt know another id.
  return isKept ? { ...sharedCopy, id: randomUUID(), generation: generationAfterFailure } : undefined;
}

/** Whether a connection was lost, or a server lacked resources (class 53), a file (58) or write access (25006: its disk is full). */
function isOfServer(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isOfServer);
  return isConnectionLoss(error) || /^(53|58|25006$)/.test(causingSqlState(error));
}
