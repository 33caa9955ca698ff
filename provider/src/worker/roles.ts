import { connect } from "../postgres/connection/connect.js";
import { inTwoSessions } from "../postgres/connection/two-sessions.js";
import { summarize } from "../schema/sql/restore-findings.js";
import { migrateRoles } from "../schema/database/roles.js";
import type { Work } from "./work.js";

/** Before any database: roles own what is in them. */
export async function bringRoles({ wish, source, target, journal }: Work): Promise<void> {
  const purpose = `${wish.migrationName} roles`;
  const found = await inTwoSessions(
    () => connect(source, { database: wish.dbsToMigrate[0]!, purpose }),
    () => connect(target, { database: wish.maintenanceDatabase, purpose }),
    migrateRoles,
  );
  await journal.findings(
    summarize(found).map(({ object, message, remedy }) => ({
      type: "AuthenticationAndConnectivityValidation",
      state: "Warning",
      object: `role ${object}`,
      objectType: "Instance",
      message,
      remedy,
    })),
  );
  await journal.event("roles are brought over");
}
