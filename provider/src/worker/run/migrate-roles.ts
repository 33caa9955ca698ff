import type { Client } from "pg";
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
import { takeAdvisoryLock } from "../../store/advisory-lock.js";
import type { Work } from "../context/work.js";

/** The holder of this advisory lock migrates roles to the target. Another worker would fail to create the same roles. */
export const rolesLock = 0x70676d6f;

/** The holder may migrate thousands of roles. */
const longestWaitMs = 600_000;

/** Takes the lock until the session ends. */
const takeRolesLock = (session: Client, { journal, signal }: Work): Promise<void> =>
  takeAdvisoryLock(session, `pg_try_advisory_lock(${rolesLock})`, rolesLock, {
    what: "the lock of another migration of roles to this target",
    giveUpAfterMs: longestWaitMs,
    report: (line) => journal.event(line),
    signal,
  });

/** CREATE ROLE would create ordinary roles of the same names, so this comes first. Returns their names. */
async function createMissingEntraRoles(
  { target }: Work,
  purpose: string,
  one: Client,
  other: Client,
): Promise<string[]> {
  const missing = (await isEntraAdministrator(other)) ? await missingEntraRoles(one, other) : [];
  if (missing.length === 0) return [];
  await withSession(target, { database: entraDatabase, purpose }, (session) => createEntraRoles(missing, session));
  return missing.map(({ name }) => name);
}

/** Runs before the databases, because roles own their objects. */
export async function migrateSourceRoles(work: Work): Promise<void> {
  const { spec, source, target, journal } = work;
  const purpose = `${spec.migrationName} roles`;
  const found = await withTwoSessions(
    () => connect(source, { database: spec.dbsToMigrate[0]!, purpose }),
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    async (one, other) => {
      await takeRolesLock(other, work);
      return migrateRoles(one, other, await createMissingEntraRoles(work, purpose, one, other));
    },
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
