import { connect } from "../postgres/connect.js";
import { summarize } from "../schema/findings.js";
import { migrateRoles } from "../schema/roles.js";
import type { Work } from "./work.js";

/** Before any database: roles own what is in them. */
export async function bringRoles({ wish, source, target, journal }: Work): Promise<void> {
  const purpose = `${wish.migrationName} roles`;
  const from = await connect(source, { database: wish.dbsToMigrate[0]!, purpose });
  const into = await connect(target, { database: wish.maintenanceDatabase, purpose });
  try {
    const findings = summarize(await migrateRoles(from, into));
    await journal.findings(
      findings.map(({ object, message, remedy }) => ({
        type: "AuthenticationAndConnectivityValidation",
        state: "Warning",
        object: `role ${object}`,
        objectType: "Instance",
        message,
        remedy,
      })),
    );
    await journal.event("roles are brought over");
  } finally {
    await Promise.all([from.end(), into.end()]);
  }
}
