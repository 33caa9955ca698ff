import type { FindingCode } from "./finding-codes/finding-code.js";
import type { ValidationState, ValidationType } from "./status.js";

/** One result of the validation, or of a check before or during the migration. */
export type Finding = Problem | Success;

/** A condition that the user should know (`Warning`), or that blocks the migration (`Failed`). */
export interface Problem extends Result {
  readonly state: Exclude<ValidationState, "Succeeded">;
  readonly code: FindingCode;
}

interface Success extends Result {
  readonly state: "Succeeded";
  readonly code?: undefined;
}

interface Result {
  /** Undefined if the finding concerns the whole server. */
  readonly database?: string | undefined;
  readonly type: ValidationType;
  readonly object?: string | undefined;
  readonly objectType?: "Database" | "Instance" | undefined;
  readonly message: string;
  readonly remedy?: string | undefined;
}
