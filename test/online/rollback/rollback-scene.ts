import assert from "node:assert/strict";
import type { RollbackStatus } from "../../../provider/src/status";
import type { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";

/** Migrates a database online and cuts it over with `rollback: "keep"`. */
export async function cutOverAndKeep(
  lab: Lab,
  database: string,
  changes: Record<string, unknown> = {},
): Promise<Resource> {
  const resource = await lab.follow([database], { rollback: "keep", ...changes });
  const status = await resource.update({ triggerCutover: true });
  assert.equal(status.state, "WaitingForUserAction");
  assert.equal(status.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
  assert.equal(status.currentSubStateDetails.dbDetails[database]!.migrationState, "Succeeded");
  return resource;
}

export const rollbackOf = async (resource: Resource, database: string): Promise<RollbackStatus | undefined> =>
  (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.rollbackReplication;

/** Settings of the target's database, where a fence would be. */
export const settingsOnTarget = (lab: Lab, database: string): Promise<Record<string, unknown>[]> =>
  lab.target.query(
    `SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
       LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = '${database}' ORDER BY 1`,
  );
