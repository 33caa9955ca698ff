import { isDeepStrictEqual } from "node:util";
import type { Wish } from "../../inputs/inputs.js";

type IdentityProperty =
  "migrationName" | "migrationMode" | "source" | "target" | "maintenanceDatabase" | "databaseNames";
type Identified = Pick<Wish, IdentityProperty>;

/** What makes a migration this one: another value means another migration. */
const identity: Readonly<Record<IdentityProperty, (wish: Identified) => unknown>> = {
  migrationName: (wish) => wish.migrationName,
  migrationMode: (wish) => wish.migrationMode,
  source: (wish) => [wish.source.host, wish.source.port],
  target: (wish) => [wish.target.host, wish.target.port],
  maintenanceDatabase: (wish) => wish.maintenanceDatabase,
  databaseNames: (wish) => wish.databaseNames,
};

/** The properties by which two wishes are different migrations. */
export function differingIdentity(one: Identified, other: Identified): IdentityProperty[] {
  return (Object.keys(identity) as IdentityProperty[]).filter(
    (property) => !isDeepStrictEqual(identity[property](one), identity[property](other)),
  );
}
