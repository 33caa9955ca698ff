import type { OutputPlugin } from "../../cdc/source/slot.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";
import type { RelationName } from "../../postgres/identifiers.js";
import type { SchemaBaseline } from "../schema-diff/schema-baseline.js";

/** What the base copy leaves for after the last change has been applied. Plain JSON: the store keeps it for a successor. */
export interface PostCutoverPlan {
  readonly handover: readonly Entry[];
  /** What the applier could not keep from firing, and what is to be validated then; in the form of {@link RestorePlan}. */
  readonly keptBack?: Pick<RestorePlan, "firing" | "firingValidations"> | undefined;
  readonly materializedViews: readonly RelationName[];
  readonly sourceSearchPath: string;
  /** What the stream is asked for. */
  readonly publications: readonly string[];
  /** Of an online migration, as of its snapshot. */
  readonly mark?: SchemaBaseline | undefined;
  /** The slot's. */
  readonly plugin: OutputPlugin;
  /** Of {@link relationKey}: what the filter leaves out. */
  readonly cutSequences: readonly string[];
  /** What the target does not get, and findings have said so: of {@link compareSchemas}. */
  readonly without: readonly string[];
}

/** Of a plan that keeps something back, although it may turn out to be nothing. */
export const deferredEntriesOf = ({
  deferTriggersAndForeignKeys,
  firing,
  firingValidations,
}: RestorePlan): PostCutoverPlan["keptBack"] =>
  deferTriggersAndForeignKeys ? { firing, firingValidations } : undefined;
