import { connect } from "../../postgres/connection/connect.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { summarize } from "../../schema/sql/restore-findings.js";
import { migrateRoles } from "../../schema/database/roles.js";
import type { Work } from "../context/work.js";

/** Runs before the databases, because roles own their objects. */
export async function migrateSourceRoles({ spec, source, target, journal }: Work): Promise<void> {
  const purpose = `${spec.migrationName} roles`;
  const found = await withTwoSessions(
    () => connect(source, { database: spec.dbsToMigrate[0]!, purpose }),
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
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
  await journal.event("roles migrated");
}
