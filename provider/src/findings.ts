import type { ValidationState, ValidationType } from "./status.js";

/** One result of the validation, or of a check before or during the migration. */
export interface Finding {
  /** Undefined if the finding concerns the whole server. */
  readonly database?: string | undefined;
  readonly type: ValidationType;
  readonly state: ValidationState;
  readonly code?: string | undefined;
  readonly object?: string | undefined;
  readonly objectType?: "Database" | "Instance" | undefined;
  readonly message: string;
  readonly remedy?: string | undefined;
}
