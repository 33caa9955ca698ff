import assert from "node:assert/strict";
import type { MigrationStatus, OnlineVerification } from "../../../provider/src/status";

export function verificationOf(status: MigrationStatus, database: string): OnlineVerification {
  const { verification } = status.currentSubStateDetails.dbDetails[database]!;
  assert(verification);
  return verification;
}
