import { isDeepStrictEqual } from "node:util";
import type { MigrationSpec } from "../../inputs/inputs.js";

type IdentityProperty =
  "migrationName" | "migrationMode" | "source" | "target" | "maintenanceDatabase" | "databaseNames";
type Identified = Pick<MigrationSpec, IdentityProperty>;

/** Properties that identify a migration: another value means another migration. */
const identity: Readonly<Record<IdentityProperty, (spec: Identified) => unknown>> = {
  migrationName: (spec) => spec.migrationName,
  migrationMode: (spec) => spec.migrationMode,
  source: (spec) => [spec.source.host, spec.source.port],
  target: (spec) => [spec.target.host, spec.target.port],
  maintenanceDatabase: (spec) => spec.maintenanceDatabase,
  databaseNames: (spec) => spec.databaseNames,
};

/** The identifying properties that differ between two specs. */
export function differingIdentity(one: Identified, other: Identified): IdentityProperty[] {
  return (Object.keys(identity) as IdentityProperty[]).filter(
    (property) => !isDeepStrictEqual(identity[property](one), identity[property](other)),
  );
}
