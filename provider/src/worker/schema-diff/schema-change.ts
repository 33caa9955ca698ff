import type { Conversion } from "../../postgres/users-casts.js";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";

/** A statement that applies a change of the source's schema to the target. The rule decides when it runs. */
export interface SchemaChange {
  readonly rule: ChangeRule;
  readonly sql: string;
  /** If the stream pauses for the statement: the tables whose later rows can only be applied after it; qualified and quoted. */
  readonly tables: readonly string[];
  /** The table whose rows the statement computes again; qualified and quoted. */
  readonly recomputes?: string;
  /** What the statement does with values of the target, and the rule if that calls functions of users. */
  readonly converts?: Conversion & { readonly ruleOfUsers: ChangeRule };
  /** A statement that loses nothing. The worker runs it instead of `sql`, which is for an operator. */
  readonly keepingSql?: string;
}

/** A change for which the stream pauses until the worker or the operator has run its statement. */
export interface PausingChange extends SchemaChange {
  readonly runBy: "worker" | "operator";
}
