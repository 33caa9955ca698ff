import type { ChangeRule } from "../../schema/catalogue/change-rule.js";

/** A statement that applies a change of the source's schema to the target. The rule decides when it runs. */
export interface SchemaChange {
  readonly rule: ChangeRule;
  readonly sql: string;
  /** Whose later rows cannot be applied before, if the stream pauses for it; qualified and quoted. */
  readonly tables: readonly string[];
  /** The table whose rows the statement computes again; qualified and quoted. */
  readonly recomputes?: string;
  /** What the worker runs instead of `sql`, which is for an operator: it loses nothing. */
  readonly keepingSql?: string;
}

/** A change for which the stream pauses until the worker or the operator has run its statement. */
export interface PausingChange extends SchemaChange {
  readonly runBy: "worker" | "operator";
}
