import { isDeepStrictEqual } from "node:util";
import type { Inputs } from "./inputs.js";
import { hasEnded, type MigrationState } from "../status.js";

/** Inputs that determine what is copied. They cannot change while a database is copied or replicated. */
const names = ["include", "exclude", "schemaOnly", "dataOnly", "keylessTables", "migrateRoles"] as const;

export type CopyInputs = Pick<Inputs, (typeof names)[number] | "migrationOption">;

export const copyInputsOf = (inputs: CopyInputs): unknown => names.map((name) => inputs[name]);

/** The inputs that differ between two specs. */
export function differingCopyInputs(before: CopyInputs, after: CopyInputs): string[] {
  const differing: string[] = names.filter((name) => !isDeepStrictEqual(before[name], after[name]));
  const stops = before.migrationOption !== "Validate" && after.migrationOption === "Validate";
  return stops ? [...differing, "migrationOption"] : differing;
}

const copyPhases: readonly string[] = ["copying", "completing"];
const replicatedPhases: readonly string[] = ["following", "completing", "rollingBack", "returned"];

/** Whether a database is copied or replicated, so that its inputs cannot change. */
export const isUnderWay = (
  { migrationMode }: Pick<Inputs, "migrationMode">,
  state: MigrationState,
  phases: readonly string[],
): boolean =>
  (migrationMode === "Online" && phases.some((phase) => replicatedPhases.includes(phase))) ||
  (!hasEnded(state) && phases.some((phase) => copyPhases.includes(phase)));

export const fixedReason = "it determines what is copied, and databases are being copied or replicated";

export const fixedRemedy = "revert the change, or destroy the migration and start it again with the new value";
