import { connect } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { summarize } from "../../schema/sql/restore-findings.js";
import {
  createEntraRoles,
  entraDatabase,
  isEntraAdministrator,
  missingEntraRoles,
} from "../../schema/database/entra-roles.js";
import { migrateRoles } from "../../schema/database/roles.js";
import type { Work } from "../context/work.js";

/** CREATE ROLE would create ordinary roles of the same names, so this comes first. Returns their names. */
async function createMissingEntraRoles({ spec, source, target }: Work, purpose: string): Promise<string[]> {
  const missing = await withTwoSessions(
    () => connect(source, { database: spec.dbsToMigrate[0]!, purpose }),
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    async (one, other) => ((await isEntraAdministrator(other)) ? missingEntraRoles(one, other) : []),
  );
  if (missing.length === 0) return [];
  await withSession(target, { database: entraDatabase, purpose }, (session) => createEntraRoles(missing, session));
  return missing.map(({ name }) => name);
}

/** Runs before the databases, because roles own their objects. */
export async function migrateSourceRoles(work: Work): Promise<void> {
  const { spec, source, target, journal } = work;
  const purpose = `${spec.migrationName} roles`;
  const entraRoles = await createMissingEntraRoles(work, purpose);
  const found = await withTwoSessions(
    () => connect(source, { database: spec.dbsToMigrate[0]!, purpose }),
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    (one, other) => migrateRoles(one, other, entraRoles),
  );
  await journal.findings(
    summarize(found).map(({ code, object, message, remedy }) => ({
      type: "AuthenticationAndConnectivityValidation",
      state: "Warning",
      code,
      object: `role ${object}`,
      objectType: "Instance",
      message,
      remedy,
    })),
  );
  await journal.event("roles migrated");
}
