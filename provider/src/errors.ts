/**
 * Errors, grouped by the reaction they require. Every message states what happened, where, and what to do about it. None
 * contains a secret.
 */

import type { FindingCode } from "./finding-codes/finding-code.js";

export interface ErrorDetails {
  /** What the user can do about it: a sentence, and a command where one exists. */
  readonly remedy?: string;
  /** A code of Azure's migration service (6030xx to 6037xx) or our own (`PGM-`): docs/findings.md lists them. */
  readonly code?: FindingCode;
  readonly cause?: unknown;
}

export abstract class MigrationError extends Error {
  readonly remedy: string | undefined;
  readonly code: FindingCode | undefined;

  /** @hidden */
  constructor(what: string, details: ErrorDetails = {}) {
    const code = details.code ? `${details.code}: ` : "";
    const remedy = details.remedy ? `\n  To do: ${details.remedy}` : "";
    super(`${code}${what}${remedy}`, { cause: details.cause });
    this.name = new.target.name;
    this.remedy = details.remedy;
    this.code = details.code;
  }
}

/** Why an input is invalid. */
export interface InputFailure {
  /** Path of the property: `source.port`, `dbsToMigrate[0]`. */
  readonly property: string;
  readonly reason: string;
}

/**
 * The program's inputs are wrong: change the program. Names every failing property.
 *
 * @example
 * ```ts
 * if (error instanceof InvalidInputError) for (const { property, reason } of error.failures) console.log(property, reason);
 * ```
 */
export class InvalidInputError extends MigrationError {
  readonly failures: readonly InputFailure[];

  /** @hidden */
  constructor(failures: readonly InputFailure[]) {
    super(failures.map(({ property, reason }) => `${property}: ${reason}`).join("\n"));
    this.failures = failures;
  }
}

/**
 * A named object does not exist: correct the name.
 *
 * @example
 * ```text
 * no migration crm is recorded on the target
 *   To do: list the migrations: pg-migration list
 * ```
 */
export class NotFoundError extends MigrationError {}

/**
 * A server answered and refused, or its settings do not allow the migration. The user must change something first.
 *
 * @example
 * ```ts
 * if (error instanceof RefusedError) console.log(error.message, error.code, error.remedy);
 * ```
 */
export class RefusedError extends MigrationError {}

/**
 * The record of a migration on the target is unreadable. Other migrations are not affected.
 *
 * @example
 * ```text
 * the record of crm on the target is damaged: invalid spec.source: expected object, received undefined
 * ```
 */
export class DamagedRecordError extends RefusedError {}

/** A refusal that depends on the moment: the same attempt may succeed later, without a change by the user. */
export abstract class RetryableError extends RefusedError {}

/** Another session holds a required lock. It releases the lock when its transaction ends. */
export class LockNotAvailableError extends RetryableError {}

/** A concurrent TRUNCATE, ALTER or similar statement changed what was read. */
export class ConcurrentChangeError extends RetryableError {}

/**
 * A server did not answer, or the connection was lost: retry with backoff, for as long as the caller allows.
 *
 * @example
 * ```text
 * reader@db.example:5432/crm: nothing answers (connect ECONNREFUSED 10.0.0.1:5432)
 * ```
 */
export class UnreachableError extends MigrationError {}

/**
 * Another worker holds the lease: stop at once and write nothing more.
 *
 * @example
 * ```text
 * another worker has taken over migration crm
 * ```
 */
export class TakenOverError extends MigrationError {}

/**
 * The user asked to stop.
 *
 * @example
 * ```text
 * the copy was canceled
 * ```
 */
export class CanceledError extends MigrationError {}

/**
 * To continue would harm the source: release what is held there.
 *
 * @example
 * ```text
 * the slot of crm retains 200 GB of WAL on the source
 * ```
 */
export class SourceAtRiskError extends MigrationError {}

/**
 * Source and target are not equal: never report success.
 *
 * @example
 * ```text
 * crm: source and target are not equal:
 *   public.orders: 20 rows on the source, 19 on the target: missing (id = 7)
 * ```
 */
export class ContentDiffersError extends MigrationError {}

/**
 * A wait ended without the awaited event.
 *
 * @example
 * ```text
 * crm could not be removed within 60 s
 *   To do: run pulumi destroy again, which removes the rest, or raise timeouts.delete
 * ```
 */
export class TimeoutError extends MigrationError {}

/**
 * The engine met a state that should be impossible: stop and keep everything for inspection.
 *
 * @example
 * ```text
 * a message of -1 bytes arrived during a copy
 * ```
 */
export class EngineError extends MigrationError {}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** Whether an import failed because the package is not installed. */
export const isModuleMissing = (error: unknown): error is Error =>
  error instanceof Error &&
  "code" in error &&
  ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"].includes(String(error.code));

/** A thrown value as an Error. */
export const asError = (error: unknown): Error => (error instanceof Error ? error : new EngineError(messageOf(error)));
