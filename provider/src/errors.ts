/**
 * Errors by the reaction they call for, not by the place they come from. Every message says what happened, where, and
 * what to do about it; none carries a secret.
 */

export interface FailureDetails {
  /** What the user can do about it: a sentence, and a command where one exists. */
  readonly remedy?: string;
  /** A code of Azure's migration service (6030xx connection, 6031xx for the user to fix, 6034xx unsupported). */
  readonly code?: string;
  readonly cause?: unknown;
}

abstract class MigrationError extends Error {
  readonly remedy: string | undefined;
  readonly code: string | undefined;

  /** @hidden */
  constructor(what: string, details: FailureDetails = {}) {
    const code = details.code ? `${details.code}: ` : "";
    const remedy = details.remedy ? `\n  To do: ${details.remedy}` : "";
    super(`${code}${what}${remedy}`, { cause: details.cause });
    this.name = new.target.name;
    this.remedy = details.remedy;
    this.code = details.code;
  }
}

/** The program's inputs are wrong: change the program. Names every failing property. */
export class InvalidInput extends MigrationError {
  readonly failures: readonly { readonly property: string; readonly reason: string }[];

  /** @hidden */
  constructor(failures: readonly { readonly property: string; readonly reason: string }[]) {
    super(failures.map(({ property, reason }) => `${property}: ${reason}`).join("\n"));
    this.failures = failures;
  }
}

/** What was named is not there: correct the name. */
export class NotFound extends MigrationError {}

/** A server answered and refused, or is not as it must be: somebody has to change it, a retry changes nothing. */
export class Refused extends MigrationError {}

/** Another session holds a lock that is needed: it passes with that session's transaction, and is nobody's mistake. */
export class HeldUp extends Refused {}

/** What was read has been overtaken by somebody's TRUNCATE, ALTER or the like: at another moment it passes. */
export class Overtaken extends Refused {}

/** A server did not answer, or the connection broke: try again, with backoff, for as long as the caller may. */
export class Unreachable extends MigrationError {}

/** Another worker holds the lease, or has gone on: stop at once and write nothing more. */
export class TakenOver extends MigrationError {}

/** The user asked for an end. */
export class Canceled extends MigrationError {}

/** Going on would harm the source: let go of what is held there. */
export class SourceAtRisk extends MigrationError {}

/** Source and target are not equal: never report success. */
export class ContentDiffers extends MigrationError {}

/** A wait has come to its end without that which was waited for. */
export class TimedOut extends MigrationError {}

/** The engine met what it believed impossible: stop and keep everything for a look. */
export class EngineFault extends MigrationError {}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** For those who have to be told an Error, whatever was thrown. */
export const asError = (error: unknown): Error => (error instanceof Error ? error : new EngineFault(messageOf(error)));
